//! Receipts as JSON and as text.

use outrigger_config::Diagnostic;
use outrigger_config::receipt::Receipt;
use serde_json::{Value, json};

/// Remarks that a control plane is told at most.
const TOLD_MAX: usize = 64;
/// Bytes of what it is told at most.
const TOLD_BYTES_MAX: usize = 16 * 1024;

/// A remark by its fields. Lines and columns are 0 where it came from a control plane; `path` says where then.
pub(crate) fn remark(remark: &Diagnostic) -> Value {
    json!({
        "code": remark.code().map(|code| code.as_str()),
        "message": remark.message(),
        "help": remark.help(),
        "part": remark.part(),
        "field": remark.field(),
        "file": remark.file(),
        "line": remark.line(),
        "column": remark.column(),
        "path": remark.path(),
    })
}

/// For `/config_dump`.
pub(super) fn report(generation: u64, receipt: &Receipt) -> Value {
    json!({
        "generation": generation,
        "count": receipt.count(),
        "remarks": receipt.remarks().iter().map(remark).collect::<Vec<_>>(),
    })
}

/// What a control plane is told: how many remarks there are, and as many of them as fit.
pub(crate) fn told(generation: u64, receipt: &Receipt) -> String {
    let mut remarks = Vec::new();
    let mut bytes = 128;
    for one in receipt.remarks().iter().take(TOLD_MAX) {
        let value = remark(one);
        bytes += value.to_string().len() + 1;
        if bytes > TOLD_BYTES_MAX {
            break;
        }
        remarks.push(value);
    }
    let count = receipt.count();
    json!({ "generation": generation, "count": count, "remarks": remarks }).to_string()
}

/// One line, for the log.
pub(super) fn line(remark: &Diagnostic) -> String {
    let code = remark.code().map(|code| format!("[{code}] ")).unwrap_or_default();
    let part = remark.part().map(|part| format!("{part}: ")).unwrap_or_default();
    let help = remark.help().map(|help| format!("; {help}")).unwrap_or_default();
    format!("{code}{part}{}{help} ({})", remark.message(), place(remark))
}

fn place(remark: &Diagnostic) -> String {
    let field = remark
        .field()
        .map(|field| format!(", {field}"))
        .unwrap_or_default();
    match remark.path() {
        Some("") => format!("{}{field}", remark.file()),
        Some(path) => format!("{}: {path}{field}", remark.file()),
        None => format!("{}:{}:{}{field}", remark.file(), remark.line(), remark.column()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::receipt::receipt;
    use outrigger_config::{Environment, Source, load};

    fn of(clusters: usize) -> Receipt {
        let unused: String = (0..clusters)
            .map(|number| format!("- {{name: cluster-{number}}}\n"))
            .collect();
        let source = Source {
            name: "mesh.yaml".into(),
            text: format!("clusters:\n{unused}"),
        };
        receipt(&load(&source, &Environment::empty()).unwrap().config)
    }

    #[test]
    fn a_control_plane_is_told_as_much_as_fits_and_how_much_there_is() {
        let told = |clusters| -> (String, Value) {
            let text = super::told(7, &of(clusters));
            let value = serde_json::from_str(&text).unwrap();
            (text, value)
        };
        let (_, one) = told(1);
        assert_eq!(one["generation"], 7);
        assert_eq!(one["count"], 1);
        assert_eq!(one["remarks"][0]["code"], "part-unused");
        assert_eq!(one["remarks"][0]["part"], "cluster `cluster-0`");
        assert_eq!(
            (&one["remarks"][0]["line"], &one["remarks"][0]["column"]),
            (&2.into(), &3.into())
        );
        let (text, many) = told(3_000);
        assert_eq!(many["count"], 3_000, "more than a receipt keeps the texts of");
        let shown = many["remarks"].as_array().unwrap().len();
        assert!(
            (10..=TOLD_MAX).contains(&shown) && text.len() <= TOLD_BYTES_MAX,
            "{shown} in {} bytes",
            text.len()
        );
    }

    #[test]
    fn a_line_says_what_where_and_what_would_be_right() {
        let receipt = of(1);
        assert_eq!(
            line(&receipt.remarks()[0]),
            "[part-unused] cluster `cluster-0`: nothing uses the cluster `cluster-0`; forward to it, or remove it \
             (mesh.yaml:2:3)"
        );
    }
}
