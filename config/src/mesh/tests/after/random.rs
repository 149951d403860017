//! Random edits of documents, one after the other: each mesh is made after the last one that was accepted, and alone.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::fmt::Write;

const NAMES: [&str; 6] = ["n/a", "n/b", "n/c", "m/d", "m/e", "m/f"];
const DOCUMENTS: [&str; 5] = ["a.yaml", "b.yaml", "c.yaml", "d/e.yaml", "f.yaml"];

/// A thing in a document: what it is, which one, and how it is.
type Item = (u8, u8, u16);

#[derive(Debug, Clone)]
enum Edit {
    /// A document has what it began with, and these things.
    Put(u8, Vec<Item>),
    /// One thing of it is otherwise.
    Change(u8, u8, u16),
    /// Its things stand some lines further down.
    Move(u8, u8),
    Remove(u8),
    /// Its text is cut off.
    Break(u8, u8),
    /// As it was before it was cut off.
    Mend(u8),
    /// Nodes ask.
    Ask(Vec<u8>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let item = (0..8_u8, any::<u8>(), any::<u16>());
    prop_oneof![
        2 => (any::<u8>(), vec(item, 0..2)).prop_map(|(at, items)| Edit::Put(at, items)),
        12 => (any::<u8>(), any::<u8>(), any::<u16>()).prop_map(|(at, which, how)| Edit::Change(at, which, how)),
        1 => (any::<u8>(), 0..3_u8).prop_map(|(at, lines)| Edit::Move(at, lines)),
        1 => any::<u8>().prop_map(Edit::Remove),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(at, length)| Edit::Break(at, length)),
        2 => any::<u8>().prop_map(Edit::Mend),
        4 => vec(any::<u8>(), 0..9).prop_map(Edit::Ask),
    ]
}

/// What a document begins with: each service has one, so that most of what follows is a mesh.
fn first(document: usize) -> Vec<Item> {
    let mut items = Vec::new();
    for which in 0..NAMES.len() {
        if which % DOCUMENTS.len() == document {
            // Two endpoints, a sidecar; it uses the first and the next.
            let uses = 1 << 6 | 1 << (6 + (which + 1) % NAMES.len());
            items.push((0, which as u8, 16 | 2 | uses));
        }
    }
    match document {
        0 => items.extend([(7, 0, 1), (6, 0, 0), (6, 1, 0), (6, 2, 3)]),
        4 => items.push((4, 0, 2 << 8)),
        _ => {}
    }
    items
}

/// What a document is.
#[derive(Debug, Clone, Default)]
struct Written {
    items: Vec<Item>,
    lines: u8,
    cut: Option<u8>,
}

impl Written {
    fn text(&self) -> String {
        let mut text = "#\n".repeat(self.lines.into());
        let lists = [
            ("services", 0..4),
            ("gateways", 4..5),
            ("nodes", 5..6),
            ("authorization_policies", 6..7),
        ];
        for (list, kinds) in lists {
            let items = self.items.iter().filter(|(kind, ..)| kinds.contains(kind));
            let items: Vec<String> = items.map(|(_, which, how)| item(list, *which, *how)).collect();
            if !items.is_empty() {
                writeln!(text, "{list}:\n{}", items.concat()).unwrap();
            }
        }
        if let Some((_, _, how)) = self.items.iter().find(|(kind, ..)| *kind == 7) {
            let domain = ["", "trust_domain: example.org, "][usize::from(how % 4 > 0)];
            let timeout = how % 3 + 1;
            writeln!(
                text,
                "defaults: {{{domain}mutual_tls: permissive, timeout: {timeout}s, sidecar: {{interception: redirect}}}}"
            )
            .unwrap();
        }
        if let Some(cut) = self.cut {
            text.truncate(text.len() * usize::from(cut) / 256);
        }
        text
    }
}

fn name(which: u8) -> &'static str {
    NAMES[usize::from(which) % NAMES.len()]
}

fn item(list: &str, which: u8, how: u16) -> String {
    let (own, number) = (name(which), usize::from(which) % NAMES.len());
    let other = name((how >> 8) as u8);
    match list {
        "services" => service(own, number, how),
        "gateways" => format!(
            "- {{name: g/{}, listeners: [{{name: l, address: 127.0.0.1:{}}}], virtual_hosts: [{{name: h, domains: [h.example], service: {own}}}, {{name: i, domains: [i.example], routes: [{{match: {{prefix: /}}, forward: {{service: {other}}}}}]}}]}}\n",
            which % 2,
            1000 + how % 7
        ),
        "nodes" => format!(
            "- {{name: node-{}, service: {own}, sidecar: {{inbound: 127.0.0.1:{}}}}}\n",
            how % 2,
            2000 + how % 5
        ),
        _ => format!(
            "- {{name: n/p{}, action: {}}}\n",
            which % 3,
            ["deny", "allow, rules: [{methods: [GET]}]", "dney"][usize::from(how % 8) / 3]
        ),
    }
}

fn service(own: &str, number: usize, how: u16) -> String {
    let flag = |bit: u16| how >> bit & 1 == 1;
    let mut fields = format!("name: {own}, ports: [{{port: {}", 1000 + number * 10);
    let protocol = ["http", "http2", "tcp", "auto"][usize::from(how % 8) / 2];
    write!(fields, ", protocol: {protocol}}}]").unwrap();
    let endpoints = (0..how % 5).map(|at| {
        format!(
            "{{address: '10.0.{number}.{}:{}'}}",
            at + how % 3,
            1000 + number * 10
        )
    });
    write!(
        fields,
        ", endpoints: [{}]",
        endpoints.collect::<Vec<_>>().join(", ")
    )
    .unwrap();
    if flag(4) {
        fields.push_str(", sidecar: {}");
        if flag(5) {
            write!(fields, ", inbound: {{authorization: [n/p{}]}}", how % 3).unwrap();
        }
    }
    let uses: Vec<_> = (0..6)
        .filter(|at| flag(6 + at))
        .map(|at| name(at as u8))
        .collect();
    write!(fields, ", uses: [{}]", uses.join(", ")).unwrap();
    if flag(12) && protocol != "tcp" {
        let target = name((how >> 9) as u8);
        write!(fields, ", routes: [{{match: {{prefix: /a}}, forward: {{service: {target}}}}}, {{match: {{prefix: /}}, forward: {{}}}}]").unwrap();
    }
    match how % 16 {
        // Odd: it has no effect.
        1 => fields.push_str(", cluster: {http2: {}}"),
        2 => fields.push_str(", cluster: {load_balancing: maglev}"),
        3 if flag(13) => fields.push_str(", nonsense: 1"),
        4 if flag(13) => fields.push_str(", cluster: {connect_timeout: soon}"),
        5 => fields.push_str(", hosts: [shared.example]"),
        _ => {}
    }
    format!("- {{{fields}}}\n")
}

/// Holds a mesh that came after others to the same documents alone.
fn compare(before: Option<&Mesh>, texts: &Texts) -> Result<Option<Mesh>, TestCaseError> {
    match (load(before, texts), load(None, texts)) {
        (Ok((mesh, odd)), Ok((alone, odd_alone))) => {
            prop_assert_eq!(odd, odd_alone, "{:?}", texts);
            prop_assert_eq!(told_unasked(&mesh), told_unasked(&alone), "{:?}", texts);
            if let Some(before) = before {
                prop_assert_eq!(before.changes(&mesh), before.changes(&alone), "{:?}", texts);
            }
            Ok(Some(mesh))
        }
        (Err(faults), Err(alone)) => {
            prop_assert_eq!(faults, alone, "{:?}", texts);
            Ok(None)
        }
        (after, alone) => {
            let (after, alone) = (after.map(|(_, odd)| odd), alone.map(|(_, odd)| odd));
            prop_assert!(false, "{after:?}\n{alone:?}\n{texts:?}");
            Ok(None)
        }
    }
}

/// As [`told`], but nobody asked.
fn told_unasked(mesh: &Mesh) -> BTreeMap<String, String> {
    let view = |role: NodeRole| {
        let wanted = mesh.kept.wanted(&role);
        let kept = mesh.kept.current(&role);
        let made = crate::mesh::view::make(mesh, &role, wanted.as_ref()).map(|made| made.view);
        let made = made.unwrap_or_else(|faults| panic!("{faults:?}"));
        let shown = format!("{made:?}");
        // What was kept is what would be made.
        if let Some(kept) = kept {
            assert_eq!(format!("{kept:?}"), shown);
        }
        (format!("{role:?}"), shown)
    };
    mesh.roles().map(view).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_mesh_after_others_is_what_it_is_alone(edits in vec(edit(), 1..16)) {
        let begins = |document: usize| Written { items: first(document), ..Written::default() };
        let all = DOCUMENTS.iter().enumerate();
        let mut written: BTreeMap<&str, Written> = all.map(|(at, name)| (*name, begins(at))).collect();
        let texts = written.iter().map(|(name, written)| ((*name).to_owned(), written.text()));
        let mut accepted: Option<Mesh> = Some(loaded(None, &texts.collect()));
        for edit in edits {
            let at = |at: u8| DOCUMENTS[usize::from(at) % DOCUMENTS.len()];
            match edit {
                Edit::Put(document, items) => {
                    let mut put = begins(usize::from(document) % DOCUMENTS.len());
                    put.items.extend(items);
                    written.insert(at(document), put);
                }
                Edit::Change(document, which, how) => {
                    let items = written.get_mut(at(document)).map(|written| &mut written.items);
                    if let Some(items) = items.filter(|items| !items.is_empty()) {
                        let which = usize::from(which) % items.len();
                        items[which].2 = how;
                    }
                }
                Edit::Move(document, lines) => {
                    if let Some(written) = written.get_mut(at(document)) {
                        written.lines = lines;
                    }
                }
                Edit::Remove(document) => drop(written.remove(at(document))),
                Edit::Break(document, length) => {
                    if let Some(written) = written.get_mut(at(document)) {
                        written.cut = Some(length);
                    }
                }
                Edit::Mend(document) => {
                    if let Some(written) = written.get_mut(at(document)) {
                        written.cut = None;
                    }
                }
                Edit::Ask(roles) => {
                    if let Some(mesh) = &accepted {
                        let all: Vec<_> = mesh.roles().collect();
                        for role in roles.iter().filter(|_| !all.is_empty()) {
                            view(mesh, &all[usize::from(*role) % all.len()]);
                        }
                    }
                    continue;
                }
            }
            let texts = written.iter().map(|(name, written)| ((*name).to_owned(), written.text()));
            if let Some(mesh) = compare(accepted.as_ref(), &texts.collect())? {
                accepted = Some(mesh);
            }
        }
    }
}
