//! A server: so many slots, a queue, and what is the matter with it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// What a server does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers after this long in a slot.
    Serves(Duration),
    /// As that, but one request in so many is answered 503.
    FailsOneIn(u64, Duration),
    /// As that, but one request in so many takes the second time.
    StallsOneIn(u64, Duration, Duration),
    /// Answers each request 503 at once.
    Fails,
    /// Accepts and never answers.
    Silent,
    /// Refuses connections.
    Refuses,
}

/// How a request ended at a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// With this status.
    Status(u16),
    /// There was no connection.
    Refused,
}

/// A server. What it has begun it goes on with, whether somebody waits for it or not, as most servers do.
pub struct Server {
    behaviour: Cell<Behaviour>,
    slots: Arc<Semaphore>,
    received: Cell<u64>,
    waiting: Rc<Cell<u64>>,
    /// What each request does in its slot after its own time: asks another service.
    depends: Option<Box<Dependency>>,
}

/// Another service that is asked: gives a status.
pub type Dependency = dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = u16>>>;

impl Server {
    /// One that does so with `slots` requests at once; others wait, without a limit.
    pub fn new(behaviour: Behaviour, slots: usize) -> Rc<Server> {
        Server::build(behaviour, slots, None)
    }

    /// One that asks another service for each request, and answers 503 where that does not answer 2xx.
    pub fn depending(behaviour: Behaviour, slots: usize, on: Box<Dependency>) -> Rc<Server> {
        Server::build(behaviour, slots, Some(on))
    }

    fn build(behaviour: Behaviour, slots: usize, depends: Option<Box<Dependency>>) -> Rc<Server> {
        Rc::new(Server {
            behaviour: Cell::new(behaviour),
            slots: Arc::new(Semaphore::new(slots)),
            received: Cell::new(0),
            waiting: Rc::default(),
            depends,
        })
    }

    /// From now on it does that.
    pub fn behave(&self, behaviour: Behaviour) {
        self.behaviour.set(behaviour);
    }

    /// Requests that it has seen.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Requests that wait for a slot.
    pub fn waiting(&self) -> u64 {
        self.waiting.get()
    }

    /// Serves one request. Dropped, the request goes on at the server.
    pub async fn serve(self: &Rc<Server>) -> Served {
        if self.behaviour.get() == Behaviour::Refuses {
            return Served::Refused;
        }
        self.received.set(self.received.get() + 1);
        let server = Rc::clone(self);
        let number = self.received.get();
        tokio::task::spawn_local(async move { server.work(number).await })
            .await
            .expect("servers do not panic")
    }

    async fn work(&self, number: u64) -> Served {
        if self.behaviour.get() == Behaviour::Fails {
            return Served::Status(503);
        }
        self.waiting.set(self.waiting.get() + 1);
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .expect("slots are never closed");
        self.waiting.set(self.waiting.get() - 1);
        let status = match self.behaviour.get() {
            Behaviour::Serves(time) => {
                sleep(time).await;
                200
            }
            Behaviour::FailsOneIn(one_in, time) => {
                sleep(time).await;
                if number.is_multiple_of(one_in) { 503 } else { 200 }
            }
            Behaviour::StallsOneIn(one_in, time, stall) => {
                sleep(if number.is_multiple_of(one_in) {
                    stall
                } else {
                    time
                })
                .await;
                200
            }
            Behaviour::Fails | Behaviour::Refuses => 503,
            Behaviour::Silent => {
                // It takes no slot: it has forgotten the request.
                drop(slot);
                return std::future::pending().await;
            }
        };
        match &self.depends {
            Some(ask) if status == 200 => match ask().await {
                200..300 => Served::Status(200),
                _ => Served::Status(503),
            },
            _ => Served::Status(status),
        }
    }
}
