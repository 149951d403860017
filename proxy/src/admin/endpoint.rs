//! The admin endpoint's socket and task, from before the process is ready until it ends or hands over.

use super::{routes, serve};
use crate::inheritance::Inheritance;
use crate::status::Status;
use axum::Router;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use tokio::task::JoinHandle;

/// A bound admin endpoint. Dropping it ends its task.
pub(crate) struct Endpoint {
    /// A second descriptor of the socket, to be passed on.
    socket: TcpListener,
    address: SocketAddr,
    routes: Arc<OnceLock<Router>>,
    task: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Takes the socket for this address out of what is inherited, or binds one. It answers at once, unless another
    /// process does so far.
    pub(crate) fn open(wanted: SocketAddr, inheritance: &mut Inheritance) -> io::Result<Endpoint> {
        let (socket, elsewhere) = match inheritance.take_admin(wanted) {
            Some(socket) => (socket, inheritance.has_predecessor()),
            None => (TcpListener::bind(wanted)?, false),
        };
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let mut endpoint = Endpoint {
            socket,
            address,
            routes: Arc::default(),
            task: None,
        };
        if !elsewhere {
            endpoint.serve()?;
        }
        Ok(endpoint)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers every call from now on.
    pub(crate) fn answer(&mut self, status: Arc<Status>) -> io::Result<()> {
        // They are set once, when the process has started.
        let _ = self.routes.set(routes(status));
        self.serve()
    }

    /// Another descriptor of its socket.
    pub(crate) fn socket(&self) -> io::Result<OwnedFd> {
        Ok(self.socket.try_clone()?.into())
    }

    /// Stops accepting; a connection that is open goes on.
    pub(crate) async fn close(&mut self) {
        if let Some(mut task) = self.task.take() {
            task.abort();
            // Its end closes its descriptor; that it was aborted is known.
            let _ = (&mut task).await;
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        if self.task.is_none() {
            let listener = tokio::net::TcpListener::from_std(self.socket.try_clone()?)?;
            self.task = Some(tokio::spawn(serve(listener, Arc::clone(&self.routes))));
        }
        Ok(())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
