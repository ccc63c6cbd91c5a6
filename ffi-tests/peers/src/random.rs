//! xorshift64*: small, the same everywhere, good enough to choose steps.

/// A sequence of numbers that its seed determines.
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() >> 33) as usize % bound
    }
}
