//! The policy model becomes resources of the wire.
//!
//! What Envoy's types can say is said by them, so that Envoy and gRPC obey it. The rest travels in metadata, in the
//! document's own words (see [`remainder`]): so nothing that the model can express is lost between two of ours, and
//! [`Encoded::only_ours`] tells what others would not obey.

mod remainder;

pub(crate) use remainder::Remainder;
