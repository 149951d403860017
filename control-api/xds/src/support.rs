//! What of Envoy's messages is supported: data from which decoders refuse the rest and documentation is printed.
//!
//! Each message that a decoder reads is declared once by `message!`, with every field that it has: a field that newer
//! types add does not compile until somebody says what becomes of it.

/// A message of Envoy's, and what becomes of its fields.
#[derive(Debug)]
pub struct Message {
    /// Its full name: `envoy.config.cluster.v3.Cluster`.
    pub name: &'static str,
    /// Fields that are read. Some of their values may be refused.
    pub used: &'static [&'static str],
    /// Fields that are refused if they are set.
    pub refused: &'static [&'static str],
    /// Fields that change nothing here, with the reason.
    pub ignored: &'static [(&'static str, &'static str)],
}

/// A value that differs from what a message has without it.
pub(crate) trait IsSet {
    fn is_set(&self) -> bool;
}

macro_rules! compared {
    ($($number:ty),*) => { $(impl IsSet for $number {
        fn is_set(&self) -> bool {
            *self != <$number>::default()
        }
    })* };
}
compared!(bool, u32, u64, i32, i64, f32, f64);

impl IsSet for String {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}
impl<T> IsSet for Vec<T> {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}
impl<T> IsSet for Option<T> {
    fn is_set(&self) -> bool {
        self.is_some()
    }
}
impl<K, V, S> IsSet for std::collections::HashMap<K, V, S> {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}
impl<T: ?Sized + IsSet> IsSet for Box<T> {
    fn is_set(&self) -> bool {
        T::is_set(self)
    }
}

/// Declares a message: the constant that the support table holds, and a function that refuses what is not supported.
///
/// ```ignore
/// message! {
///     pub(super) LOCALITY, refuse_locality: core::Locality as "envoy.config.core.v3.Locality" {
///         used: region, zone, sub_zone;
///         refused: ;
///         ignored: ;
///     }
/// }
/// ```
macro_rules! message {
    ($visibility:vis $table:ident, $refuse:ident: $message:ty as $name:literal {
        used: $($used:ident),* ;
        refused: $($refused:ident),* ;
        ignored: $($ignored:ident = $reason:literal),* ;
    }) => {
        $visibility const $table: $crate::support::Message = $crate::support::Message {
            name: $name,
            used: &[$(stringify!($used)),*],
            refused: &[$(stringify!($refused)),*],
            ignored: &[$((stringify!($ignored), $reason)),*],
        };

        #[allow(unused_variables, reason = "some messages have no field that is refused")]
        $visibility fn $refuse(
            refusals: &mut $crate::decode::Refusals,
            path: &outrigger_config::document::Path,
            message: &$message,
        ) {
            // Complete, so that a new field does not compile.
            #[allow(deprecated, reason = "deprecated fields are refused, too")]
            let Complete { $($used: _,)* $($refused,)* $($ignored: _,)* } = message;
            $(refusals.refuse_set(path, stringify!($refused), $crate::support::IsSet::is_set($refused));)*
            type Complete = $message;
        }
    };
}
pub(crate) use message;

/// Every message that is read, in the order of the documentation.
pub fn messages() -> Vec<&'static Message> {
    use crate::decode::{MESSAGES, filters, http, listener};
    [MESSAGES, listener::MESSAGES, http::MESSAGES, filters::MESSAGES]
        .concat()
        .concat()
}

/// The support table as a page of Markdown.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut messages = messages();
    messages.sort_by_key(|message| message.name);
    let mut before: Option<&Message> = None;
    for message in messages {
        // One that several decoders read alike stands once.
        if before.is_some_and(|before| before.is_same(message)) {
            continue;
        }
        before = Some(message);
        message.write(&mut page);
    }
    page
}

const INTRODUCTION: &str = "\
# Which of Envoy's fields are supported

<!-- Printed from the code by `outrigger xds-support`. -->

A control plane that speaks xDS sends Envoy's messages. This page lists every message that is read, with all of its fields.

- **Used**: the field is read. Some values may be refused where they stand, with the reason.
- **Refused**: a resource that sets the field is refused, by the field's path; the last good version stays in force.
- **Ignored**: the field may be set, and changes nothing here, for the reason that is given.

What is in no message of this page is refused, and so is a field that is newer than the types which this version was built
with. Fields of the document that Envoy has no words for stand in the metadata of a listener, filter chain, route
configuration, virtual host, route, cluster or endpoint, in the namespace `outrigger`, in the words of
[the configuration](../configuration.md).

Where a message says nothing, the value is the configuration's own default, which is Envoy's, except:

- HTTP/2 windows are 1 MiB for a stream and 4 MiB for a connection, and an idle HTTP/1 connection to an endpoint is closed
  after 3 s, unless the message says otherwise.
- Retries are bounded by a budget always: 20 % of requests, at least 3 at once. `max_retries` says how many are always
  allowed; 0 turns them off.
- The first endpoint of a cluster may be ejected whatever `max_ejection_percent` is, unless `always_eject_one_host` is false.
- A server's certificate is validated always: a context without authorities is refused, and one with `sni` alone asks for
  that name in the certificate.
- TLS 1.0 and 1.1 are not spoken. A list of suites or curves has to allow all that is spoken here, since none can be left out.
- Metadata of endpoints in `envoy.lb` is what subsets are made of; other namespaces are other programs'.
";

impl Message {
    fn is_same(&self, other: &Message) -> bool {
        (self.name, self.used, self.refused, self.ignored)
            == (other.name, other.used, other.refused, other.ignored)
    }

    fn write(&self, page: &mut String) {
        let listed = |fields: &[&str]| {
            let names = fields
                .iter()
                .map(|field| format!("`{}`", field.trim_start_matches("r#")));
            names.collect::<Vec<_>>().join(", ")
        };
        page.push_str(&format!("\n## `{}`\n\n", self.name));
        if !self.used.is_empty() {
            page.push_str(&format!("- Used: {}\n", listed(self.used)));
        }
        if !self.refused.is_empty() {
            page.push_str(&format!("- Refused: {}\n", listed(self.refused)));
        }
        for (field, reason) in self.ignored {
            page.push_str(&format!(
                "- Ignored: `{}`: {reason}\n",
                field.trim_start_matches("r#")
            ));
        }
    }
}

#[cfg(test)]
mod tests;
