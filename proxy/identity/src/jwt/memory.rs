//! Verified tokens that one thread remembers, so that a token's signature is checked once and not with every request.
//!
//! A token is remembered under a digest of itself, of its provider's rules and of the key set that it was verified by:
//! where rules or keys change it is not found any more. Its times are looked at with every use. Tokens that do not hold
//! are not remembered: whoever sends them would choose what is.

use super::verifier::VerifiedToken;
use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use lru::LruCache;
use std::cell::RefCell;
use std::fmt;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// Tokens that are remembered. With [`TOKEN_BYTES_MAX`] the claims of all of them take some tens of MiB at most; a token
/// of usual length takes about 2 KiB.
const TOKENS_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// Bytes of a token that is remembered, as Envoy's.
const TOKEN_BYTES_MAX: usize = 4096;

/// What a token is remembered under.
pub struct TokenDigest([u8; SHA256_OUTPUT_LEN]);

impl TokenDigest {
    /// The digest of a token for a provider's rules and a key set, by numbers that are never used twice; none: it is too
    /// long to be remembered.
    pub fn of(token: &[u8], provider: u64, keys: u64) -> Option<TokenDigest> {
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

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

impl fmt::Debug for TokenMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = self.0.borrow().as_ref().map_or(0, LruCache::len);
        f.debug_struct("TokenMemory").field("tokens", &tokens).finish()
    }
}

/// The tokens. Memory is taken when the first is remembered.
#[derive(Default)]
pub struct TokenMemory(RefCell<Option<LruCache<[u8; SHA256_OUTPUT_LEN], Rc<VerifiedToken>>>>);

impl TokenMemory {
    /// The token, if it is remembered.
    pub fn find(&self, digest: &TokenDigest) -> Option<Rc<VerifiedToken>> {
        self.0.borrow_mut().as_mut()?.get(&digest.0).cloned()
    }

    /// Remembers a token, in place of the one that was not used for longest if there are too many.
    pub fn remember(&self, digest: TokenDigest, token: &Rc<VerifiedToken>) {
        self.0
            .borrow_mut()
            .get_or_insert_with(|| LruCache::new(TOKENS_MAX))
            .put(digest.0, Rc::clone(token));
    }

    /// Forgets a token whose time has passed.
    pub fn forget(&self, digest: &TokenDigest) {
        if let Some(tokens) = self.0.borrow_mut().as_mut() {
            tokens.pop(&digest.0);
        }
    }
}
