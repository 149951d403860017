//! Labels of hedging.

use crate::cell::labelled::Label;

labels! {
    /// Which of two attempts.
    pub enum CancelledAttempt = "attempt" {
        /// The one that was made as ever.
        First = "first",
        /// The one that was made beside it.
        Hedge = "hedge",
    }

    /// Why a hedge that was due was not made.
    pub enum HedgeDenied = "reason" {
        /// The request's body was still coming, or is not kept.
        Body = "body",
        /// There were as many attempts as there may be.
        AttemptsUsedUp = "attempts_used_up",
        /// There is no other endpoint.
        NoEndpoint = "no_endpoint",
        /// The route has as many hedges as its share of extra load allows.
        ExtraLoad = "extra_load",
        /// Too many retries and hedges of the cluster are under way.
        AtOnce = "at_once",
        /// The cluster had too many retries and hedges of late.
        Recent = "recent",
        /// A believed peer retries by itself, or has lowered the budget.
        Restrained = "restrained",
        /// No connection to the other endpoint came about before the first attempt had ended.
        NoConnection = "no_connection",
    }
}
