//! Local health (Lifeguard, arXiv 1707.00788, §IV-A): who misses what others get doubts itself.

use std::time::Duration;

/// 0 is well; `worst` is as ill as a node can feel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalHealth {
    score: u8,
    worst: u8,
}

impl LocalHealth {
    /// Well. With a `worst` of 0 it stays so.
    pub(crate) const fn new(worst: u8) -> Self {
        Self { score: 0, worst }
    }

    /// A probe was answered.
    pub(crate) fn better(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// Something was missed that a well node would have got.
    pub(crate) fn worse(&mut self) {
        self.score = self.score.saturating_add(1).min(self.worst);
    }

    /// An ill node looks less often, and waits longer for what it asked.
    pub(crate) fn stretched(self, usual: Duration) -> Duration {
        usual.saturating_mul(u32::from(self.score) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn illness_stretches_up_to_its_worst_and_passes() {
        let second = Duration::from_secs(1);
        let mut health = LocalHealth::new(8);
        assert_eq!(health.stretched(second), second);
        for _ in 0..300 {
            health.worse();
        }
        assert_eq!(health.stretched(second), 9 * second);
        for _ in 0..300 {
            health.better();
        }
        assert_eq!(health.stretched(second), second);
        let mut unmoved = LocalHealth::new(0);
        unmoved.worse();
        assert_eq!(unmoved.stretched(second), second);
    }
}
