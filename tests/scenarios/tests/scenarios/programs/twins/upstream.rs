//! Two upstreams that write down what reaches them, in one book, and answer as the request asks them to: `x-status: N`,
//! `x-fail: N` (so many attempts are answered `x-fail-status`, or 503), `x-cut: N` (so many attempts lose their
//! connection), `x-answer: name=value, …` (fields of the answer).

use outrigger_fixtures::Scripted;
use outrigger_fixtures::scripted::{Request, Script};
use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex};

/// What reached whom, in order.
type Book = Arc<Mutex<Vec<(&'static str, Request)>>>;

pub(super) struct Upstreams {
    named: Vec<(&'static str, Scripted)>,
    book: Book,
}

impl Upstreams {
    pub(super) async fn start() -> Upstreams {
        let book = Book::default();
        let mut named = Vec::new();
        for name in ["one", "two"] {
            let book = Arc::clone(&book);
            let scripted = Scripted::start(move |script| play(script, name, Arc::clone(&book)));
            named.push((name, scripted.await));
        }
        Upstreams { named, book }
    }

    /// Puts addresses in the places of `$one` and `$two`.
    pub(super) fn fill(&self, text: &str) -> String {
        let fill = |text: String, (name, scripted): &(&str, Scripted)| {
            text.replace(&format!("${name}"), &scripted.address().to_string())
        };
        self.named.iter().fold(text.to_owned(), fill)
    }

    /// Begins a new page.
    pub(super) fn forget(&self) {
        self.book.lock().expect("nobody panics with the book").clear();
    }

    /// What came since.
    pub(super) fn seen(&self) -> Vec<(&'static str, Request)> {
        self.book.lock().expect("nobody panics with the book").clone()
    }
}

async fn play(mut script: Script, name: &'static str, book: Book) -> io::Result<()> {
    while let Some(request) = script.request().await? {
        let attempt = {
            let mut book = book.lock().expect("nobody panics with the book");
            book.push((name, request.clone()));
            book.len()
        };
        let wish = |name: &str| {
            request
                .head
                .field(name)
                .and_then(|value| value.parse::<usize>().ok())
        };
        if attempt <= wish("x-cut").unwrap_or(0) {
            return Ok(());
        }
        let status = if attempt <= wish("x-fail").unwrap_or(0) {
            wish("x-fail-status").unwrap_or(503)
        } else {
            wish("x-status").unwrap_or(200)
        };
        let mut answer = format!("HTTP/1.1 {status} Told\r\n");
        for field in request.head.all("x-answer").flat_map(|fields| fields.split(", ")) {
            let (name, value) = field.split_once('=').expect("a field of the answer has a value");
            write!(answer, "{name}: {value}\r\n").expect("a text takes it");
        }
        if !matches!(status, 204 | 304) {
            write!(answer, "content-length: {}\r\n", name.len()).expect("a text takes it");
        }
        answer += "\r\n";
        if request.head.method() != "HEAD" && !matches!(status, 204 | 304) {
            answer += name;
        }
        script.send(answer).await?;
    }
    Ok(())
}
