//! The codec seen from outside: bytes in, events out, and back.

mod accepted;
mod differential;
mod drive;
mod limits;
mod llhttp;
mod requests;
mod responses;
mod round_trip;
mod split;
