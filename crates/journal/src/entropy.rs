//! Where salts and keys come from: handed in, so that a simulated run is repeatable.

/// A source of random bytes.
#[derive(Debug)]
pub struct Entropy(Source);

#[derive(Debug)]
enum Source {
    System,
    Seeded(fastrand::Rng),
}

impl Entropy {
    /// The machine's cryptographic generator.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A repeatable source that is no secret to anybody. For simulations and tests.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(fastrand::Rng::with_seed(seed)))
    }

    /// A source of its own for another part of the program.
    pub fn fork(&mut self) -> Self {
        Self(match &mut self.0 {
            Source::System => Source::System,
            Source::Seeded(random) => Source::Seeded(random.fork()),
        })
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        match &mut self.0 {
            Source::System => aws_lc_rs::rand::fill(&mut bytes)
                .expect("the system's random generator does not fail once it is seeded"),
            Source::Seeded(random) => random.fill(&mut bytes),
        }
        bytes
    }
}
