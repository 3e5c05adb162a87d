//! Where salts and keys come from: handed in, so that a simulated run is repeatable.

use std::fmt;

/// A source of random bytes.
pub struct Entropy(Box<dyn FnMut(&mut [u8]) + Send>);

impl Entropy {
    /// The machine's cryptographic generator.
    pub fn system() -> Self {
        Self(Box::new(|bytes| {
            aws_lc_rs::rand::fill(bytes).expect("the system's random generator does not fail once seeded");
        }))
    }

    /// A repeatable source that is no secret to anybody. For simulations and tests.
    pub fn seeded(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self(Box::new(move |bytes| random.fill(bytes)))
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}
