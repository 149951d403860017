//! One stream to one server: messages of either variant in and out.

use crate::grpc::{self, ChannelError};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use outrigger_config::model::{Control, ControlServer, ControlTransport};
use outrigger_identity::Material;
use outrigger_xds::session::client::ReceiveError;
use outrigger_xds::session::{Request, Response};
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use zeroize::Zeroizing;

/// From the look-up of the server's name to an open connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A message at most: 100,000 endpoints in one response take about 6 MiB, 10,000 clusters with TLS about 20.
const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Requests that wait to be sent. The session has few at a time.
const REQUESTS_MAX: usize = 64;

/// Why there is no stream, or no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The connection could not be made.
    #[error("{}", whole(.0))]
    Connect(#[from] ChannelError),
    /// It took too long.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// The server ended it, or it broke.
    #[error("{} ({:?})", .0.message(), .0.code())]
    Status(Box<Status>),
    /// The server ended it in order.
    #[error("the server ended the stream")]
    Ended,
    /// The server does not keep to the protocol.
    #[error("{0}")]
    Protocol(#[from] ReceiveError),
    /// The token cannot be read or sent.
    #[error("{0}")]
    Token(String),
}

/// What a server says.
pub(super) enum Said {
    /// It takes the stream.
    Taken,
    /// A response.
    Response(Response),
}

/// An open stream.
pub(super) struct Stream {
    requests: Requests,
    responses: Responses,
    channel: Channel,
    authorization: Option<MetadataValue<Ascii>>,
}

enum Requests {
    StateOfTheWorld(mpsc::Sender<DiscoveryRequest>),
    Delta(mpsc::Sender<DeltaDiscoveryRequest>),
}

enum Responses {
    StateOfTheWorld(Incoming<DiscoveryResponse>),
    Delta(Incoming<DeltaDiscoveryResponse>),
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<Streaming<T>>, Status>> + Send>>;

/// What comes. Some servers send not even headers before they have something to say: that is no reason to give up.
enum Incoming<T> {
    Asked(Answer<T>),
    Answered(Box<Streaming<T>>),
}

impl<T> Incoming<T> {
    /// The next message as `of` makes a response of it; none at the end. Cancel safe.
    async fn next(&mut self, of: fn(T) -> Response) -> Result<Option<Said>, Status> {
        match self {
            Incoming::Asked(answer) => {
                let streaming = answer.as_mut().await?.into_inner();
                *self = Incoming::Answered(Box::new(streaming));
                Ok(Some(Said::Taken))
            }
            Incoming::Answered(stream) => {
                let message = stream.message().await?;
                Ok(message.map(|message| Said::Response(of(message))))
            }
        }
    }
}

impl Stream {
    /// Connects and opens a stream. May be dropped at any time.
    pub(super) async fn open(
        control: &Control,
        server: &ControlServer,
        material: &Material,
    ) -> Result<Stream, StreamError> {
        let opening = async {
            let token = match control.token_file() {
                Some(file) => Some(grpc::read_token(file).await.map_err(StreamError::Token)?),
                None => None,
            };
            let tls = control.tls(server);
            let channel = grpc::connect(server.host(), server.port(), tls.as_ref(), material).await?;
            Stream::on(channel, control.transport(), token)
        };
        timeout(CONNECT_TIMEOUT, opening)
            .await
            .unwrap_or(Err(StreamError::Timeout(CONNECT_TIMEOUT)))
    }

    fn on(
        channel: Channel,
        transport: ControlTransport,
        token: Option<Zeroizing<String>>,
    ) -> Result<Stream, StreamError> {
        let authorization = authorization(token)?;
        let shown = authorization.clone();
        let authorize = move |mut request: tonic::Request<()>| {
            if let Some(value) = &shown {
                request.metadata_mut().insert("authorization", value.clone());
            }
            Ok(request)
        };
        let mut client = AggregatedDiscoveryServiceClient::with_interceptor(channel.clone(), authorize)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (requests, responses) = match transport {
            ControlTransport::Delta => {
                let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
                let asking = async move {
                    client
                        .delta_aggregated_resources(ReceiverStream::new(receiver))
                        .await
                };
                let responses = Responses::Delta(Incoming::Asked(Box::pin(asking)));
                (Requests::Delta(sender), responses)
            }
            ControlTransport::StateOfTheWorld => {
                let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
                let asking = async move {
                    client
                        .stream_aggregated_resources(ReceiverStream::new(receiver))
                        .await
                };
                let responses = Responses::StateOfTheWorld(Incoming::Asked(Box::pin(asking)));
                (Requests::StateOfTheWorld(sender), responses)
            }
        };
        Ok(Stream {
            requests,
            responses,
            channel,
            authorization,
        })
    }

    /// The connection, and what is shown on it: for other calls to the same server.
    pub(super) fn connection(&self) -> (Channel, Option<MetadataValue<Ascii>>) {
        (self.channel.clone(), self.authorization.clone())
    }

    /// What the server says next: that it takes the stream, once, then responses. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Said, StreamError> {
        let next = match &mut self.responses {
            Responses::StateOfTheWorld(incoming) => incoming.next(Response::StateOfTheWorld).await,
            Responses::Delta(incoming) => incoming.next(Response::Delta).await,
        };
        match next {
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err(StreamError::Ended),
            Err(status) => Err(StreamError::Status(Box::new(status))),
        }
    }

    /// Sends a request; false if the server does not take any: the stream is to be given up.
    pub(super) fn send(&self, request: Request) -> bool {
        self.requests.send(request)
    }
}

impl Requests {
    fn send(&self, request: Request) -> bool {
        match (self, request) {
            (Requests::StateOfTheWorld(sender), Request::StateOfTheWorld(request)) => {
                sender.try_send(request).is_ok()
            }
            (Requests::Delta(sender), Request::Delta(request)) => sender.try_send(request).is_ok(),
            // The session speaks the variant that the stream was opened for.
            _ => false,
        }
    }
}

/// An error with its causes: the outermost one says too little.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

fn authorization(token: Option<Zeroizing<String>>) -> Result<Option<MetadataValue<Ascii>>, StreamError> {
    let Some(token) = token else { return Ok(None) };
    let text = Zeroizing::new(format!("Bearer {}", token.as_str()));
    let unfit = |_| StreamError::Token("the token cannot be sent in a header".to_owned());
    let mut value: MetadataValue<Ascii> = text.parse().map_err(unfit)?;
    value.set_sensitive(true);
    Ok(Some(value))
}
