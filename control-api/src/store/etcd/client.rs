//! Calls to etcd: to whichever member answers, with a timeout on each, and authenticated if a user is set.

use super::connection::channels;
use super::messages::{
    AuthenticateRequest, AuthenticateResponse, WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::settings::EtcdSettings;
use crate::store::StoreError;
use parking_lot::Mutex;
use prost::Message;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;
use zeroize::Zeroizing;

/// One call to one member. Etcd itself gives up on a request after 7 seconds at its default election timeout.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// What may be repeated is tried at one member after the other, for so long: a member that is restarted, or the choice of
/// a new leader, takes less.
const PATIENCE: Duration = Duration::from_secs(8);
/// Between rounds of trying all members.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// An answer at most: 64 records of the greatest size.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What may be done when no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Anything: asking twice is as good as once.
    Freely,
    /// Nothing: it may have taken place.
    Never,
}

struct User {
    name: String,
    password_file: PathBuf,
}

pub(super) struct Client {
    channels: Vec<Channel>,
    /// The member that answered last.
    favourite: AtomicUsize,
    user: Option<User>,
    token: Mutex<Option<MetadataValue<Ascii>>>,
}

impl Client {
    pub(super) fn new(settings: &EtcdSettings) -> Result<Client, StoreError> {
        let user = settings.user.as_ref().map(|(name, password_file)| User {
            name: name.clone(),
            password_file: password_file.clone(),
        });
        Ok(Client {
            channels: channels(settings)?,
            favourite: AtomicUsize::new(0),
            user,
            token: Mutex::new(None),
        })
    }

    pub(super) async fn call<Q, R>(
        &self,
        operation: &'static str,
        path: &'static str,
        request: Q,
        repeat: Repeat,
    ) -> Result<R, StoreError>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut is_authenticated_anew = false;
        loop {
            for _ in &self.channels {
                let status = match self.call_favourite(path, request.clone()).await {
                    Ok(answer) => return Ok(answer),
                    Err(status) => status,
                };
                if is_token_refused(&status) && self.user.is_some() && !is_authenticated_anew {
                    // Refused, so not done. The next round gets another token.
                    *self.token.lock() = None;
                    is_authenticated_anew = true;
                    continue;
                }
                if !is_passing(&status) {
                    return Err(StoreError::unavailable(operation, shown(&status)));
                }
                self.turn_away();
                if repeat == Repeat::Never {
                    return Err(StoreError::Uncertain {
                        reason: shown(&status),
                    });
                }
                if Instant::now() > deadline {
                    return Err(StoreError::unavailable(operation, shown(&status)));
                }
            }
            tokio::time::sleep(ROUND_PAUSE.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    async fn call_favourite<Q, R>(&self, path: &'static str, request: Q) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let calling = async {
            let request = self.authenticated(request).await?;
            unary(self.channel(), path, request).await
        };
        tokio::time::timeout(CALL_TIMEOUT, calling)
            .await
            .unwrap_or_else(|_| Err(timed_out()))
    }

    /// Opens a watch of one key from a revision on, at the member that answered last.
    pub(super) async fn watch(
        &self,
        key: Vec<u8>,
        start_revision: i64,
    ) -> Result<Streaming<WatchResponse>, Status> {
        let create = WatchRequest {
            create: Some(WatchCreateRequest { key, start_revision }),
        };
        // The stream of requests stays open: its end would be that of the watch.
        let requests = tokio_stream::once(create).chain(tokio_stream::pending());
        let opening = async {
            let mut request = self.authenticated(requests).await?;
            // A member without a leader ends the watch, rather than to be silent.
            request
                .metadata_mut()
                .insert("hasleader", MetadataValue::from_static("true"));
            let mut grpc = Grpc::new(self.channel()).max_decoding_message_size(ANSWER_BYTES_MAX);
            ready(&mut grpc).await?;
            let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
            let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
            Ok(grpc.streaming(request, path, codec).await?.into_inner())
        };
        let opened = tokio::time::timeout(CALL_TIMEOUT, opening)
            .await
            .unwrap_or_else(|_| Err(timed_out()));
        if let Err(status) = &opened {
            if is_token_refused(status) {
                *self.token.lock() = None;
            }
            self.turn_away();
        }
        opened
    }

    fn channel(&self) -> Channel {
        let favourite = self.favourite.load(Ordering::Relaxed);
        self.channels[favourite % self.channels.len()].clone()
    }

    /// The next call goes to the next member.
    pub(super) fn turn_away(&self) {
        self.favourite.fetch_add(1, Ordering::Relaxed);
    }

    async fn authenticated<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        if let Some(user) = &self.user {
            let token = self.token.lock().clone();
            let token = match token {
                Some(token) => token,
                None => self.authenticate(user).await?,
            };
            request.metadata_mut().insert("token", token);
        }
        Ok(request)
    }

    async fn authenticate(&self, user: &User) -> Result<MetadataValue<Ascii>, Status> {
        // Read each time, so that it can be changed.
        let password = tokio::fs::read_to_string(&user.password_file)
            .await
            .map(Zeroizing::new);
        let password = password.map_err(|error| {
            Status::failed_precondition(format!("{}: {error}", user.password_file.display()))
        })?;
        let request = AuthenticateRequest {
            name: user.name.clone(),
            password: password.trim_end().to_owned(),
        };
        let path = "/etcdserverpb.Auth/Authenticate";
        let answer: AuthenticateResponse = unary(self.channel(), path, Request::new(request)).await?;
        let token: MetadataValue<Ascii> = answer
            .token
            .parse()
            .map_err(|_| Status::failed_precondition("etcd gave a token that no header can hold"))?;
        *self.token.lock() = Some(token.clone());
        Ok(token)
    }
}

async fn unary<Q, R>(channel: Channel, path: &'static str, request: Request<Q>) -> Result<R, Status>
where
    Q: Message + 'static,
    R: Message + Default + 'static,
{
    let mut grpc = Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    ready(&mut grpc).await?;
    let codec = ProstCodec::<Q, R>::default();
    let answer = grpc
        .unary(request, PathAndQuery::from_static(path), codec)
        .await?;
    Ok(answer.into_inner())
}

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))
}

fn timed_out() -> Status {
    Status::deadline_exceeded(format!("no answer within {} s", CALL_TIMEOUT.as_secs()))
}

/// Another member, or the same one a little later, may well answer; etcd's own words for "no leader" and "stopped" have
/// these codes, too.
fn is_passing(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal
    )
}

/// A token that is no longer good: it has run out, the member was restarted, or users were changed.
fn is_token_refused(status: &Status) -> bool {
    status.code() == Code::Unauthenticated || status.message().contains("revision of auth store is old")
}

pub(super) fn shown(status: &Status) -> String {
    format!("etcd: {} ({:?})", status.message(), status.code())
}
