//! Verified tokens that a worker remembers, so that a token's signature is checked once and not with every request.
//!
//! A token is remembered under a digest of itself, of its provider's rules and of the key set that it was verified by:
//! where rules or keys change it is not found any more. Its times are looked at with every use. Tokens that do not hold
//! are not remembered: whoever sends them would choose what is.

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use lru::LruCache;
use outrigger_identity::jwt::VerifiedToken;
use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// Tokens that are remembered. With [`TOKEN_BYTES_MAX`] the claims of all of them take some tens of MiB at most; a token
/// of usual length takes about 2 KiB.
const TOKENS_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// Bytes of a token that is remembered, as Envoy's.
const TOKEN_BYTES_MAX: usize = 4096;

/// What a token is remembered under.
pub(crate) struct TokenDigest([u8; SHA256_OUTPUT_LEN]);

impl TokenDigest {
    /// None: too long to be remembered.
    pub(crate) fn of(token: &[u8], provider: u64, keys: u64) -> Option<TokenDigest> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let mut context = Context::new(&SHA256);
        context.update(&provider.to_be_bytes());
        context.update(&keys.to_be_bytes());
        context.update(token);
        let mut digest = [0; SHA256_OUTPUT_LEN];
        digest.copy_from_slice(context.finish().as_ref());
        Some(TokenDigest(digest))
    }
}

/// The tokens. Made when the first is remembered.
#[derive(Default)]
pub(crate) struct TokenMemory(RefCell<Option<LruCache<[u8; SHA256_OUTPUT_LEN], Rc<VerifiedToken>>>>);

impl TokenMemory {
    /// The token, if it is remembered.
    pub(crate) fn find(&self, digest: &TokenDigest) -> Option<Rc<VerifiedToken>> {
        self.0.borrow_mut().as_mut()?.get(&digest.0).cloned()
    }

    /// Remembers a token, in place of the one that was not used for longest if there are too many.
    pub(crate) fn remember(&self, digest: TokenDigest, token: &Rc<VerifiedToken>) {
        self.0
            .borrow_mut()
            .get_or_insert_with(|| LruCache::new(TOKENS_MAX))
            .put(digest.0, Rc::clone(token));
    }

    /// Forgets a token whose time has passed.
    pub(crate) fn forget(&self, digest: &TokenDigest) {
        if let Some(tokens) = self.0.borrow_mut().as_mut() {
            tokens.pop(&digest.0);
        }
    }
}
