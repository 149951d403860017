//! The requests, as lines: `METHOD HOST PATH [; name: value]…`, where `{a|b}` stands for one line with each of these. A
//! field `body` is the body. `#` begins a remark.

/// A request that both are asked.
pub(super) struct Asked {
    text: String,
    pub(super) method: String,
    host: String,
    path: String,
    fields: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn parse(text: &str) -> Asked {
        let mut parts = text.split(" ; ");
        let line = parts.next().expect("a line has a first part");
        let words: Vec<&str> = line.split(' ').collect();
        let [method, host, path] = words[..] else {
            panic!("no method, host and path: {text:?}");
        };
        let mut asked = Asked {
            text: text.to_owned(),
            method: method.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            fields: Vec::new(),
            body: String::new(),
        };
        // A choice may be to have no field there.
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once(':').expect("a field has a colon");
            if name == "body" {
                asked.body = value.trim().to_owned();
            } else {
                asked.fields.push((name.to_owned(), value.trim().to_owned()));
            }
        }
        asked
    }

    /// Its line.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Its bytes.
    pub(super) fn wire(&self) -> String {
        let Asked {
            method,
            host,
            path,
            fields,
            body,
            ..
        } = self;
        let mut wire = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        for (name, value) in fields {
            wire += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            wire += &format!("content-length: {}\r\n", body.len());
        }
        wire + "\r\n" + body
    }
}

/// All requests of a corpus, in order.
pub(super) fn read(corpus: &str) -> Vec<Asked> {
    let lines = corpus
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(expand).map(|line| Asked::parse(&line)).collect()
}

/// The lines that a line with choices stands for.
fn expand(line: &str) -> Vec<String> {
    let Some((before, rest)) = line.split_once('{') else {
        return vec![line.to_owned()];
    };
    let (choices, after) = rest.split_once('}').expect("a choice ends");
    let choices = choices
        .split('|')
        .flat_map(|choice| expand(&format!("{before}{choice}{after}")));
    choices.collect()
}
