//! The order of commands: changes take effect one after the other, as they stand in the stream, and what reads sees what the ones
//! before it have made.
//!
//! What the director has planned has its place before everything that is planned later, so a change holds up those behind it until then
//! and no longer. One that first does something else, such as reading a file, is waited for, though never for long: it is overtaken then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How long a command waits for those before it.
pub const ORDER_WAIT_MAX: Duration = Duration::from_millis(250);

/// Which changes are in course. Cheap to copy.
#[derive(Clone, Default)]
pub struct Order(Arc<watch::Sender<BTreeSet<u64>>>);

/// The place of a command; it has taken effect, or never will, when this is dropped.
pub struct Place {
    order: Order,
    number: u64,
}

impl Order {
    /// A place behind all others. What only reads holds up nobody.
    pub fn enter(&self, number: u64, reads: bool) -> Place {
        if !reads {
            self.0.send_modify(|course| {
                course.insert(number);
            });
        }
        Place {
            order: self.clone(),
            number,
        }
    }
}

impl Place {
    /// Waits until everything before it has taken effect, for a short time at most.
    pub async fn turn(&self) {
        let is_first = |course: &BTreeSet<u64>| {
            let first = course.first();
            first.is_none_or(|first| *first >= self.number)
        };
        let mut course = self.order.0.subscribe();
        let _in_time = timeout(ORDER_WAIT_MAX, course.wait_for(is_first)).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let number = self.number;
        self.order
            .0
            .send_if_modified(|course| course.remove(&number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn what_reads_waits_for_the_changes_before_it_and_not_for_long() {
        let order = Order::default();
        let first = order.enter(1, false);
        let reads = order.enter(2, true);
        let behind = order.enter(3, false);
        assert!(reads.turn().now_or_never().is_none());
        drop(first);
        assert!(reads.turn().now_or_never().is_some(), "not for what comes");
        assert!(behind.turn().now_or_never().is_some(), "not for what reads");
    }
}
