//! The number before a unit.

use super::Unfit;

/// An exact decimal number: `digits / 10^scale`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    digits: u128,
    scale: u32,
}

/// Most digits a number may have: those of the largest `u64`.
const MAX_DIGITS: usize = 20;

impl Decimal {
    /// Takes the number at the head of `text` and gives the rest: digits, and where there is a point,
    /// digits on both sides of it.
    pub(super) fn split(text: &str) -> Result<(Self, &str), Unfit> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (whole, mut rest) = text.split_at(end);
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            (fraction, rest) = after.split_at(end);
            if fraction.is_empty() {
                return Err(Unfit::Form);
            }
        }
        if whole.is_empty() {
            return Err(Unfit::Form);
        }
        if whole.len() + fraction.len() > MAX_DIGITS {
            return Err(Unfit::TooLarge);
        }
        let digits = whole.bytes().chain(fraction.bytes()).fold(0, |n, b| n * 10 + u128::from(b - b'0'));
        Ok((Self { digits, scale: u32::try_from(fraction.len()).unwrap_or(u32::MAX) }, rest))
    }

    /// The number times `unit`, if that is whole and fits.
    pub(super) fn times(self, unit: u64) -> Result<u64, Unfit> {
        let product = self.digits * u128::from(unit);
        let divisor = 10_u128.pow(self.scale);
        if !product.is_multiple_of(divisor) {
            return Err(Unfit::TooFine);
        }
        u64::try_from(product / divisor).map_err(|_| Unfit::TooLarge)
    }
}
