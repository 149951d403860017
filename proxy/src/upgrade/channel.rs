//! Packets with descriptors over a connected Unix socket (`SOCK_SEQPACKET`: a packet comes whole or not at all).

use super::{Broken, Message};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::Uid;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Bytes of a packet at most; a longer one is refused by both sides.
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// Descriptors of a packet at most; the kernel takes 253.
pub(super) const DESCRIPTORS_MAX: usize = 64;

/// A connection to the other process. Its calls are cancel safe: a packet is sent or received whole.
pub(super) struct Channel {
    /// Of packets, whatever its type's name: all that is asked of it is when the socket is ready.
    socket: UnixStream,
}

impl Channel {
    /// Wraps a connected socket that does not block.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Channel> {
        Ok(Channel {
            socket: UnixStream::from_std(socket.into())?,
        })
    }

    /// The user of the process at the other end, as the kernel says.
    pub(super) fn peer(&self) -> io::Result<Uid> {
        Ok(Uid::from_raw(self.socket.peer_cred()?.uid()))
    }

    /// Sends a message; `descriptors` are at most [`DESCRIPTORS_MAX`].
    pub(super) async fn send(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> Result<(), Broken> {
        let packet = serde_json::to_vec(message).map_err(io::Error::from)?;
        if packet.len() > PACKET_BYTES_MAX || descriptors.len() > DESCRIPTORS_MAX {
            let (bytes, descriptors) = (packet.len(), descriptors.len());
            return Err(Broken::Malformed(format!(
                "{bytes} bytes with {descriptors} descriptors"
            )));
        }
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(io::Error::other("too many descriptors for a packet"));
            }
            let slices = [IoSlice::new(&packet)];
            Ok(sendmsg(&self.socket, &slices, &mut control, SendFlags::NOSIGNAL)?)
        };
        self.socket.async_io(Interest::WRITABLE, send).await?;
        Ok(())
    }

    /// The next message and its descriptors.
    pub(super) async fn receive(&self) -> Result<(Message, Vec<OwnedFd>), Broken> {
        let mut packet = vec![0; PACKET_BYTES_MAX];
        let receive = || receive_packet(self.socket.as_fd(), &mut packet);
        let (bytes, descriptors) = self.socket.async_io(Interest::READABLE, receive).await?;
        if bytes == 0 {
            return Err(Broken::Closed);
        }
        let message =
            serde_json::from_slice(&packet[..bytes]).map_err(|error| Broken::Malformed(error.to_string()))?;
        Ok((message, descriptors))
    }

    /// Sends a message and waits for the answer. One that refused before it was told has still answered.
    pub(super) async fn ask(&self, message: &Message, limit: Duration) -> Result<Message, Broken> {
        let told = self.send(message, &[]).await;
        let (answer, _) = self
            .receive_within(limit)
            .await
            .map_err(|broken| match (told, broken) {
                (Err(untold), Broken::Closed) => untold,
                (_, broken) => broken,
            })?;
        Ok(answer)
    }

    /// The next message, if it comes in time and is no refusal.
    pub(super) async fn receive_within(&self, limit: Duration) -> Result<(Message, Vec<OwnedFd>), Broken> {
        match tokio::time::timeout(limit, self.receive()).await {
            Err(_) => Err(Broken::Silent),
            Ok(Ok((Message::Refused { reason }, _))) => Err(Broken::Refused(reason)),
            Ok(received) => received,
        }
    }
}

fn receive_packet(socket: BorrowedFd<'_>, packet: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(packet)];
    let received = match recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
        // The other side closed without having read everything. What it said before is still to be read.
        Err(Errno::CONNRESET) => recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?,
        received => received?,
    };
    // Taken out before anything is judged, so that none stays open.
    let descriptors = control
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
            _ => Vec::new(),
        })
        .collect();
    if received
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a packet or its descriptors were cut off (is the limit of open files reached?)",
        ));
    }
    Ok((received.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn pair() -> (Channel, OwnedFd) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Channel::new(one).unwrap(), other)
    }

    #[tokio::test]
    async fn descriptors_arrive_with_their_message() {
        let (one, other) = pair();
        let other = Channel::new(other).unwrap();
        let file = std::fs::File::open("/proc/self/status").unwrap();
        let many = vec![file.as_fd(); DESCRIPTORS_MAX];
        one.send(&Message::Released, &many).await.unwrap();
        one.send(&Message::Refused { reason: "no".into() }, &[])
            .await
            .unwrap();
        let (message, descriptors) = other.receive().await.unwrap();
        assert!(matches!(message, Message::Released));
        assert_eq!(descriptors.len(), DESCRIPTORS_MAX);
        let refused = other.receive_within(Duration::from_secs(20)).await;
        assert!(matches!(refused, Err(Broken::Refused(reason)) if reason == "no"));
        drop(one);
        assert!(matches!(other.receive().await, Err(Broken::Closed)));
    }

    #[tokio::test]
    async fn a_refusal_is_heard_even_if_nobody_listened() {
        let (one, other) = pair();
        let other = Channel::new(other).unwrap();
        let reason = "busy".to_owned();
        one.send(&Message::Released, &[]).await.unwrap();
        other.send(&Message::Refused { reason }, &[]).await.unwrap();
        // It closes with a message unread, which the kernel tells before anything else.
        drop(other);
        let asked = one.ask(&Message::Released, Duration::from_secs(20)).await;
        assert!(matches!(asked, Err(Broken::Refused(reason)) if reason == "busy"));
    }

    #[tokio::test]
    async fn what_is_no_message_is_an_error() {
        let longest = vec![b' '; PACKET_BYTES_MAX + 1];
        for bytes in [&b"{}"[..], b"\xff", b"{\"message\":\"hello\"}", b"null", &longest] {
            let (channel, other) = pair();
            rustix::net::send(&other, bytes, SendFlags::NOSIGNAL).unwrap();
            let received = channel.receive().await;
            assert!(
                matches!(received, Err(Broken::Malformed(_) | Broken::Io(_))),
                "{bytes:?}"
            );
        }
    }

    #[tokio::test]
    async fn more_descriptors_than_fit_are_no_message() {
        let (one, other) = pair();
        let file = std::fs::File::open("/proc/self/status").unwrap();
        let many = vec![file.as_fd(); DESCRIPTORS_MAX + 1];
        assert!(one.send(&Message::Released, &many).await.is_err());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2 * DESCRIPTORS_MAX + 2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let twice = [many.clone(), many].concat();
        assert!(control.push(SendAncillaryMessage::ScmRights(&twice)));
        let packet = [IoSlice::new(b"\"released\"")];
        sendmsg(&other, &packet, &mut control, SendFlags::NOSIGNAL).unwrap();
        assert!(matches!(one.receive().await, Err(Broken::Io(_))));
    }
}
