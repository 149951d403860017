//! What is waited for when nothing moves.

/// Who did not move when nothing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// The request has not come to its end: its client sends nothing of it, or the endpoint takes nothing.
    Request,
    /// The endpoint has the whole request, and sends nothing.
    Endpoint,
    /// The client takes nothing of its answer.
    Reader,
}

impl Stalled {
    /// In snake case, as the story of a request has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Stalled::Request => "request",
            Stalled::Endpoint => "endpoint",
            Stalled::Reader => "reader",
        }
    }
}
