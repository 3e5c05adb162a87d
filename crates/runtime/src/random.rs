//! Where randomness comes from.

/// The seed of a process, from which every generator it needs is made: the system's in production, a
/// chosen one in a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// A seed that nobody can guess or repeat. Not for keys: those come from the TLS library.
    pub fn system() -> Self {
        Self(fastrand::u64(..))
    }

    /// A chosen seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The generator for `purpose`. It depends on the seed and the purpose alone, so that one part of a
    /// simulation drawing more does not change what another draws.
    pub fn rng(self, purpose: &str) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.derive(purpose).0)
    }

    /// The seed for a part that makes generators of its own.
    pub fn derive(self, purpose: &str) -> Self {
        // FNV-1a over the purpose; the generator below spreads it.
        let hash = |h: u64, byte: u8| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let mixed = purpose.bytes().fold(self.0 ^ 0xcbf2_9ce4_8422_2325, hash);
        Self(fastrand::Rng::with_seed(mixed).u64(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_depends_on_seed_and_purpose_alone() {
        let draw = |seed, purpose| Seed::new(seed).rng(purpose).u64(..);
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(Seed::system(), Seed::system());
    }
}
