//! The exposition as others read it: promtool's lint, and the parsers of Prometheus' Python client, of which the one for
//! OpenMetrics is strict. Every family has samples, and of every value of its labels.

use crate::cells::Cells;
use crate::metrics::{Visitor, visit};
use crate::{ExpositionFormat, Metrics};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Everything that there is, in this format.
fn whole(format: ExpositionFormat) -> String {
    let metrics = Metrics::new(2, &["bad_request", "too_large"]);
    let _touched = metrics.touch();
    let mut scrape = metrics.scrape(format);
    std::iter::from_fn(|| scrape.next_chunk()).collect()
}

/// What a program says of this input; none where it is not installed, which in CI it has to be.
fn said(program: &Path, arguments: &[&str], input: &str) -> Option<Output> {
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let why = format!("{}: {error}", program.display());
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("skipped: {why}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    Some(output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn promtool_has_nothing_to_say() {
    let exposition = whole(ExpositionFormat::Text);
    let Some(output) = said(Path::new("promtool"), &["check", "metrics"], &exposition) else {
        return;
    };
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success() && out.is_empty() && err.is_empty(),
        "{out}{err}"
    );
    // It reads what it is given: what breaks a rule is told.
    let odd = "# HELP odd Odd.\n# TYPE odd counter\nodd 1\n";
    let output = said(Path::new("promtool"), &["check", "metrics"], odd).unwrap();
    assert!(!output.status.success(), "{}", text(&output.stderr));
}

/// The families of the code: the name in this format, with type and unit.
fn families(format: ExpositionFormat) -> BTreeMap<String, (String, String)> {
    struct Families(ExpositionFormat, BTreeMap<String, (String, String)>);

    impl Visitor for Families {
        fn kind<C: Cells>(&mut self, _: &'static str) {
            for family in C::FAMILIES {
                let heading = &family.heading;
                let unit = match self.0 {
                    ExpositionFormat::Text => "",
                    ExpositionFormat::OpenMetrics => heading.unit().unwrap_or_default(),
                };
                // Python's client names counters without `_total` in both.
                let name = heading.name.trim_end_matches("_total").to_owned();
                let told = (heading.kind.as_str().to_owned(), unit.to_owned());
                self.1.insert(name, told);
            }
        }
    }

    let mut families = Families(format, BTreeMap::new());
    visit(&mut families);
    families.1
}

#[test]
fn python_s_parsers_read_every_family() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let peers = match std::env::var_os("OUTRIGGER_PEERS") {
        Some(folder) => PathBuf::from(folder),
        None => root.join("target/peers"),
    };
    let script = root.join("tests/peers/exposition.py");
    for (format, name) in [
        (ExpositionFormat::Text, "text"),
        (ExpositionFormat::OpenMetrics, "openmetrics"),
    ] {
        let arguments = [script.to_str().unwrap(), name];
        let Some(output) = said(&peers.join("bin/python"), &arguments, &whole(format)) else {
            return;
        };
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let found: BTreeMap<String, (String, String)> = text(&output.stdout)
            .lines()
            .map(|line| {
                let fields: Vec<&str> = line.split('\t').collect();
                let [name, kind, unit, samples] = fields[..] else {
                    panic!("{line}")
                };
                assert!(samples.parse::<usize>().unwrap() > 0, "{line}");
                (name.to_owned(), (kind.to_owned(), unit.to_owned()))
            })
            .collect();
        assert_eq!(found, families(format));
    }
}
