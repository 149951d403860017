//! Who waits for a place.

use super::{ConnectionPlace, LocalPlaces, Wanted};
use crate::upstream::{http1, http2};
use outrigger_config::model::RoutePriority;
use outrigger_traffic::breakers::WaitCount;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often others go before the first of a worker's queue because a connection that is free suits them and not it.
/// Closing it for the first would cost a connection each time.
const PASSED_OVER_MAX: u32 = 16;

/// Those of all workers who wait for a place of one cluster, for both priorities.
#[derive(Debug, Default)]
pub(crate) struct PlaceQueues {
    default_priority: PlaceQueue,
    high_priority: PlaceQueue,
}

impl PlaceQueues {
    /// True if idle connections are still to be closed.
    pub(super) fn wants_room(&self) -> bool {
        self.default_priority.wants_room() || self.high_priority.wants_room()
    }

    pub(crate) fn of(&self, priority: RoutePriority) -> &PlaceQueue {
        match priority {
            RoutePriority::Default => &self.default_priority,
            RoutePriority::High => &self.high_priority,
        }
    }
}

/// Those of all workers who wait for a place of one cluster and priority.
#[derive(Debug, Default)]
pub(crate) struct PlaceQueue {
    /// And how many idle connections are to be closed for them.
    waiting: WaitCount,
    /// In the order in which they came.
    waiters: Notify,
}

impl PlaceQueue {
    #[inline]
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.is_waited_for()
    }

    /// The same for whoever has just given a place back.
    pub(super) fn is_waited_for_now(&self) -> bool {
        self.waiting.is_waited_for_now()
    }

    /// A place may be free. `for_some`: not everybody can use it.
    pub(super) fn freed(&self, for_some: bool) {
        if for_some {
            self.waiters.notify_waiters();
        } else {
            self.waiters.notify_one();
        }
    }

    /// The limits are others: everybody looks again.
    pub(crate) fn look_again(&self) {
        self.waiters.notify_waiters();
    }

    /// One idle connection, wherever it is, is to be closed; never more than wait.
    pub(crate) fn want_room(&self) {
        self.waiting.want_room();
    }

    /// True if idle connections are still to be closed.
    pub(crate) fn wants_room(&self) -> bool {
        self.waiting.wants_room()
    }

    /// Takes it on to close an idle connection, if one is still to be closed.
    pub(super) fn take_room_wanted(&self) -> bool {
        self.waiting.take_room_wanted()
    }
}

/// What somebody who waits is given.
pub(crate) enum Given {
    /// A place for a connection.
    Place(ConnectionPlace),
    /// A connection that has become idle.
    Connection(Box<http1::Connection>),
    /// A stream of a connection that has room again.
    Stream(Box<http2::Exchange>),
}

/// One who waits.
pub(crate) struct Waiter {
    pub(super) wanted: Wanted,
    passed_over: Cell<u32>,
    given: RefCell<Option<Given>>,
    waker: RefCell<Option<Waker>>,
}

impl Waiter {
    pub(super) fn new(wanted: Wanted) -> Waiter {
        Waiter {
            wanted,
            passed_over: Cell::new(0),
            given: RefCell::new(None),
            waker: RefCell::new(None),
        }
    }

    /// Another may go first; false if that has been so too often.
    pub(super) fn pass_over(&self) -> bool {
        let times = self.passed_over.get();
        self.passed_over.set(times.saturating_add(1));
        times < PASSED_OVER_MAX
    }

    /// Gives it what it waits for. It has left its worker's queue.
    pub(crate) fn give(&self, given: Given) {
        *self.given.borrow_mut() = Some(given);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// A place in the queue; dropping it leaves.
pub(crate) struct Waiting {
    local: Rc<LocalPlaces>,
    waiter: Rc<Waiter>,
    /// Nobody waited before.
    is_first: bool,
}

impl Waiting {
    pub(super) fn new(local: Rc<LocalPlaces>, waiter: Rc<Waiter>) -> Waiting {
        if waiter.wanted.endpoint_max.is_some() {
            waiter.wanted.load.want_connection();
        }
        let is_first = local.queue(waiter.wanted.priority).waiting.enter();
        Waiting {
            local,
            waiter,
            is_first,
        }
    }

    /// Waits until there is something, at most until `until`: then none. Cancel safe.
    pub(crate) async fn given(self, until: Instant) -> Option<Given> {
        let local = Rc::clone(&self.local);
        let priority = self.waiter.wanted.priority;
        let queue = local.queue(priority);
        // Who comes when others wait is not before them: they have been told of what is free.
        let mut may_claim = self.is_first || self.waiter.wanted.endpoint_max.is_some();
        let mut is_woken = false;
        let given = loop {
            let mut freed = pin!(queue.waiters.notified());
            freed.as_mut().enable();
            if may_claim && let Some(place) = local.claim(&self.waiter.wanted, false) {
                break Some(Given::Place(place));
            }
            if is_woken {
                local.ask_for_room(priority);
            }
            may_claim = true;
            let given = poll_fn(|cx| {
                if let Some(given) = self.waiter.given.borrow_mut().take() {
                    return Poll::Ready(given);
                }
                *self.waiter.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            });
            tokio::select! {
                biased;
                given = given => break Some(given),
                () = freed => {
                    // What became free may have been of no use to it, and what gave way for it as well.
                    is_woken = true;
                }
                () = tokio::time::sleep_until(until) => break None,
            }
        };
        let for_some = self.waiter.wanted.endpoint_max.is_some();
        drop(self);
        // Two places that were freed at once may have woken one: it tells the next.
        if queue.is_waited_for() && !local.breaker(priority).is_open() {
            queue.freed(for_some);
        }
        given
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.local.leave(&self.waiter);
        if self.waiter.wanted.endpoint_max.is_some() {
            self.waiter.wanted.load.leave_connection();
        }
        self.local.queue(self.waiter.wanted.priority).waiting.leave();
        // What was given and not taken goes on by being dropped: a place and a stream to the next, a connection as the
        // place that it leaves.
        let given = self.waiter.given.borrow_mut().take();
        drop(given);
    }
}
