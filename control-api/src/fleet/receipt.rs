//! What a node says is odd about the configuration that it has in force.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::value::Kind;
use serde::{Deserialize, Serialize};

/// Where in a node's metadata it stands.
const KEY: &str = "outrigger.receipt";
/// Bytes of it that are read; a longer one is passed over.
const BYTES_MAX: usize = 64 * 1024;
/// Remarks that are kept of it.
const REMARKS_MAX: usize = 64;

/// The receipt of a node's configuration, as the node tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReceipt {
    /// The node's own number of the configuration.
    pub generation: u64,
    /// How many remarks there are.
    pub count: u64,
    /// As many of them as were told.
    pub remarks: Vec<NodeRemark>,
}

/// One remark.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeRemark {
    /// Its kind (`docs/receipts.md`).
    pub code: String,
    /// What is odd.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The part that it is about.
    pub part: Option<String>,
    /// The field of that part.
    pub field: Option<String>,
    /// The resource, or the node's own document.
    pub file: String,
    /// The line in that document; 0 in a resource.
    pub line: u32,
    /// The column.
    pub column: u32,
    /// The field of the resource.
    pub path: Option<String>,
}

impl NodeReceipt {
    /// What a node says of itself; none: nothing is odd, or it does not tell, or not in words that are known here.
    pub fn of(node: &Node) -> Option<NodeReceipt> {
        let Some(Kind::StringValue(text)) = &node.metadata.as_ref()?.fields.get(KEY)?.kind else {
            return None;
        };
        if text.len() > BYTES_MAX {
            return None;
        }
        let mut receipt: NodeReceipt = serde_json::from_str(text).ok()?;
        receipt.remarks.truncate(REMARKS_MAX);
        Some(receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::google::protobuf::{Struct, Value};

    fn of(text: &str) -> Option<NodeReceipt> {
        let value = Value {
            kind: Some(Kind::StringValue(text.to_owned())),
        };
        NodeReceipt::of(&Node {
            metadata: Some(Struct {
                fields: [(KEY.to_owned(), value)].into(),
            }),
            ..Node::default()
        })
    }

    #[test]
    fn what_a_node_says_is_read_within_bounds() {
        let one = r#"{"code": "part-unused", "message": "nothing uses it", "later": 1}"#;
        let receipt = of(&format!(r#"{{"generation": 3, "count": 9, "remarks": [{one}]}}"#)).unwrap();
        assert_eq!((receipt.generation, receipt.count), (3, 9));
        assert_eq!(
            (receipt.remarks[0].code.as_str(), receipt.remarks[0].line),
            ("part-unused", 0)
        );
        let many = format!(
            r#"{{"generation": 3, "count": 100, "remarks": [{}]}}"#,
            vec!["{}"; 100].join(",")
        );
        assert_eq!(of(&many).unwrap().remarks.len(), REMARKS_MAX);
        for bad in ["", "[]", "{}", r#"{"generation": -1, "count": 1, "remarks": []}"#] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(
            of(&format!(
                r#"{{"generation": 3, "count": 9, "remarks": [], "x": "{}"}}"#,
                "x".repeat(BYTES_MAX)
            )),
            None
        );
        assert_eq!(NodeReceipt::of(&Node::default()), None);
    }
}
