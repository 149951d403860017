//! One cluster's resolution, driven: a task that asks what is due and tells what changes.

use crate::client::Client;
use crate::question::{Answer, Failure, Question};
use crate::resolution::Resolution;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio::task::{Id, JoinHandle, JoinSet};

/// Who is told. Calls come from the resolver's task, one at a time, and must not block.
pub trait Observe: Send + Sync + 'static {
    /// What came of a question.
    fn answered(&self, question: &Question, answer: &Answer);
    /// The state after something may have changed; `now` is the time it is seen at.
    fn progressed(&self, resolution: &Resolution, now: Instant);
}

/// A running resolution. Dropping it ends it.
#[derive(Debug)]
pub struct ClusterResolver {
    resolution: Arc<Mutex<Resolution>>,
    warm: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl ClusterResolver {
    /// Starts asking on the current Tokio runtime.
    pub fn start(resolution: Resolution, client: Client, observer: Arc<dyn Observe>) -> ClusterResolver {
        let (warm, receiver) = watch::channel(resolution.is_warm());
        let resolution = Arc::new(Mutex::new(resolution));
        let driver = Driver {
            resolution: Arc::clone(&resolution),
            client,
            observer,
            warm,
        };
        ClusterResolver {
            resolution,
            warm: receiver,
            task: tokio::spawn(driver.run()),
        }
    }

    /// The state, to be read; not to be held across an await.
    pub fn resolution(&self) -> MutexGuard<'_, Resolution> {
        self.resolution.lock()
    }

    /// Waits until every question has had an outcome once. Cancel safe.
    pub fn warmed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut warm = self.warm.clone();
        async move {
            // If the resolver has been stopped, nobody will ever know better.
            let _ = warm.wait_for(|warm| *warm).await;
        }
    }
}

impl Drop for ClusterResolver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Driver {
    resolution: Arc<Mutex<Resolution>>,
    client: Client,
    observer: Arc<dyn Observe>,
    warm: watch::Sender<bool>,
}

impl Driver {
    async fn run(self) {
        let mut asking: JoinSet<Answer> = JoinSet::new();
        let mut asked: HashMap<Id, Question> = HashMap::new();
        loop {
            let (questions, wake_at) = self.poll();
            for question in questions {
                let client = self.client.clone();
                let about = question.clone();
                let task = asking.spawn(async move { client.ask(&about).await });
                asked.insert(task.id(), question);
            }
            let wake = async {
                match wake_at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(joined) = asking.join_next_with_id() => {
                    let (id, answer) = match joined {
                        Ok(joined) => joined,
                        Err(error) => (error.id(), Answer::Failed {
                            failure: Failure::Protocol,
                            detail: error.to_string(),
                        }),
                    };
                    if let Some(question) = asked.remove(&id) {
                        self.answer(&question, answer);
                    }
                }
                () = wake => {}
            }
        }
    }

    fn poll(&self) -> (Vec<Question>, Option<Instant>) {
        let now = tokio::time::Instant::now().into_std();
        let mut resolution = self.resolution.lock();
        let questions = resolution.poll(now);
        self.observer.progressed(&resolution, now);
        if resolution.is_warm() && !*self.warm.borrow() {
            self.warm.send_replace(true);
        }
        (questions, resolution.wake_at())
    }

    fn answer(&self, question: &Question, answer: Answer) {
        self.observer.answered(question, &answer);
        let now = tokio::time::Instant::now().into_std();
        self.resolution
            .lock()
            .answer(question, answer, now, fastrand::u64(..));
    }
}
