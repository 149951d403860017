//! A whole proxy in the test's process, with a runtime of its own, so that a test cannot starve it.

use crate::admin::Admin;
use crate::wait::within;
use outrigger_config::Source;
use outrigger_proxy::{ConfigurationSource, Proxy as Inner, ProxyOptions};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

enum Command {
    Reload(String, oneshot::Sender<Result<u64, String>>),
    BeginDrain(oneshot::Sender<()>),
    Drain {
        grace: Duration,
        timeout: Duration,
        whole: oneshot::Sender<bool>,
    },
}

type Addresses = Arc<Mutex<HashMap<String, SocketAddr>>>;

/// A running proxy. Dropping it ends it at once.
pub struct Proxy {
    commands: mpsc::UnboundedSender<Command>,
    addresses: Addresses,
    admin: SocketAddr,
}

impl Proxy {
    /// Starts a proxy that is expected to start.
    pub async fn start(document: impl ToString) -> Proxy {
        match Proxy::try_start(document).await {
            Ok(proxy) => proxy,
            Err(faults) => panic!("the proxy does not start: {faults}"),
        }
    }

    /// Starts a proxy; what is wrong otherwise.
    pub async fn try_start(document: impl ToString) -> Result<Proxy, String> {
        let text = document.to_string();
        let (commands, received) = mpsc::unbounded_channel();
        let (started, start) = oneshot::channel();
        let addresses = Addresses::default();
        let shared = Arc::clone(&addresses);
        std::thread::Builder::new()
            .name("proxy-control".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime
                    .expect("a runtime can be had")
                    .block_on(run(text, shared, started, received));
            })
            .expect("a thread can be had");
        let admin = within("the proxy's start", start)
            .await
            .expect("the proxy's thread answers")?;
        Ok(Proxy {
            commands,
            addresses,
            admin,
        })
    }

    /// Where the listener `edge` listens.
    pub fn address(&self) -> SocketAddr {
        self.address_of("edge")
    }

    /// Where a listener listens.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn address_of(&self, listener: &str) -> SocketAddr {
        let addresses = self.addresses.lock().expect("nobody panics under the lock");
        *addresses
            .get(listener)
            .unwrap_or_else(|| panic!("no listener `{listener}` in {addresses:?}"))
    }

    /// The admin endpoint.
    pub fn admin(&self) -> Admin {
        Admin(self.admin)
    }

    /// Puts another configuration in force, and gives its number; or says why not.
    pub async fn reload(&self, document: impl ToString) -> Result<u64, String> {
        let (sender, receiver) = oneshot::channel();
        self.tell(Command::Reload(document.to_string(), sender));
        within("a reload", receiver)
            .await
            .expect("the proxy's thread answers")
    }

    /// Turns readiness off.
    pub async fn begin_drain(&self) {
        let (sender, receiver) = oneshot::channel();
        self.tell(Command::BeginDrain(sender));
        within("the drain's begin", receiver)
            .await
            .expect("the proxy's thread answers");
    }

    /// Begins to end it; the receiver tells whether all that was in flight ended whole.
    pub fn drain(&self, grace: Duration, timeout: Duration) -> oneshot::Receiver<bool> {
        let (whole, receiver) = oneshot::channel();
        self.tell(Command::Drain {
            grace,
            timeout,
            whole,
        });
        receiver
    }

    fn tell(&self, command: Command) {
        self.commands
            .send(command)
            .unwrap_or_else(|_| panic!("the proxy has ended"));
    }
}

async fn run(
    text: String,
    addresses: Addresses,
    started: oneshot::Sender<Result<SocketAddr, String>>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let mut proxy = match Inner::start(source(text), ProxyOptions::default()).await {
        Ok(proxy) => proxy,
        Err(error) => {
            let _ = started.send(Err(error.to_string()));
            return;
        }
    };
    note_addresses(&proxy, &addresses);
    let _ = started.send(Ok(proxy.admin_address()));
    // The channel ends when the test drops its side: the proxy goes with it.
    while let Some(command) = commands.recv().await {
        match command {
            Command::Reload(text, done) => {
                let result = proxy.reload_from(source(text)).await;
                note_addresses(&proxy, &addresses);
                let _ = done.send(result.map_err(|rejection| rejection.reason));
            }
            Command::BeginDrain(done) => {
                proxy.begin_drain();
                let _ = done.send(());
            }
            Command::Drain {
                grace,
                timeout,
                whole,
            } => {
                let _ = whole.send(proxy.drain(grace, timeout).await);
                return;
            }
        }
    }
}

fn source(text: String) -> ConfigurationSource {
    ConfigurationSource::Text(Source {
        name: "test.yaml".to_owned(),
        text,
    })
}

fn note_addresses(proxy: &Inner, addresses: &Addresses) {
    let config = proxy.configuration();
    let names = config.listeners().iter().map(|listener| listener.name().as_str());
    let bound = names
        .filter_map(|name| Some((name.to_owned(), proxy.listener_address(name)?)))
        .collect();
    *addresses.lock().expect("nobody panics under the lock") = bound;
}
