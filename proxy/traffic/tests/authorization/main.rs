//! Authorization, seen from outside: through policies as users write them.

mod decisions;
mod facts;
mod generated;
mod naive;
mod properties;
mod tricks;
