//! Routes by path: which routes of a virtual host match a path, in their order.
//!
//! Exact paths are found by one hash of the whole path; prefixes that are texts by one of as much of it, for each length
//! that they have. Prefixes and templates stand in one tree of segments, in which
//! a step is one hash of a segment (or a few comparisons where a node has few children). A path is walked once for each
//! way through literal and variable segments that some template goes; without templates there is one way, as deep as
//! the deepest prefix. Regular expressions are tried in order, and only those before the best other candidate.

use foldhash::fast::FixedState;
use outrigger_config::model::{PathMatch, Route, TemplateSegment};
use regex::Regex;
use smallvec::SmallVec;
use std::collections::{BTreeSet, HashMap};

/// Children of a node that are compared one by one; above, they are hashed.
const CHILDREN_COMPARED_MAX: usize = 4;

/// The compiled path conditions of one virtual host.
#[derive(Debug)]
pub(crate) struct PathIndex {
    /// Whole paths.
    exact: HashMap<Box<[u8]>, Routes, FixedState>,
    /// Longer paths are not looked up, so that a peer cannot make us hash much.
    exact_bytes_max: usize,
    /// Routes with the prefix `/`, which match everything, `*` included.
    everything: Routes,
    /// The segment tree; the root, which stands for the first `/`, comes first.
    nodes: Box<[Node]>,
    /// Prefixes that are texts, with the different lengths that they have.
    string_prefixes: HashMap<Box<[u8]>, Routes, FixedState>,
    string_prefix_lengths: Box<[usize]>,
    /// In the order of their routes.
    regexes: Box<[(Candidate, Regex)]>,
    /// Routes that take CONNECT requests, which have no path, and nothing else.
    connects: Box<[Candidate]>,
}

/// A route whose path matches, in one number: its index, and in the lowest bit whether it has other conditions.
/// Candidates sort as their routes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate(u32);

impl Candidate {
    fn new(index: usize, route: &Route) -> Candidate {
        let matches = route.matches();
        let conditional = matches.grpc()
            || !(matches.methods().is_empty()
                && matches.headers().is_empty()
                && matches.query().is_empty()
                && matches.source_identities().is_empty());
        Candidate::of(index, conditional)
    }

    /// What has conditions beside its path.
    pub(crate) fn conditional(index: usize) -> Candidate {
        Candidate::of(index, true)
    }

    fn of(index: usize, conditional: bool) -> Candidate {
        let index = u32::try_from(index).ok().filter(|&index| index <= u32::MAX >> 1);
        let index = index.expect("there are fewer than 2^31 routes");
        Candidate(index << 1 | u32::from(conditional))
    }

    /// The route's index.
    pub(crate) fn route(self) -> usize {
        (self.0 >> 1) as usize
    }

    /// The route has no condition but its path.
    pub(super) fn is_unconditional(self) -> bool {
        self.0 & 1 == 0
    }
}

/// Routes of one path, in order. Nothing follows one without other conditions: it could never be reached.
type Routes = Vec<Candidate>;

/// Adds a route behind those already there, unless they leave nothing to it.
fn push_reachable(routes: &mut Routes, candidate: Candidate) {
    if !routes.last().is_some_and(|last| last.is_unconditional()) {
        routes.push(candidate);
    }
}

/// A node of the segment tree: the segments from the root to here, joined by `/`.
#[derive(Debug, Default)]
struct Node {
    literals: Children,
    /// The child for any segment that is not empty; 0, the root's index, if there is none.
    variable: u32,
    /// Prefixes that end here: this path and everything below it.
    at_border: Routes,
    /// Prefixes that end with the `/` after here: only what is below.
    below: Routes,
    /// Templates that end here: this path only.
    at_end: Routes,
}

impl Node {
    /// No prefix or template goes on from here.
    fn is_leaf(&self) -> bool {
        self.variable == 0 && self.literals.is_empty()
    }
}

#[derive(Debug)]
enum Children {
    Few(Vec<(Box<[u8]>, u32)>),
    Many(HashMap<Box<[u8]>, u32, FixedState>),
}

impl Default for Children {
    fn default() -> Children {
        Children::Few(Vec::new())
    }
}

impl Children {
    #[inline(always)]
    fn find(&self, segment: &[u8]) -> Option<u32> {
        match self {
            Children::Few(list) => list
                .iter()
                .find(|(literal, _)| literal.as_ref() == segment)
                .map(|&(_, node)| node),
            Children::Many(map) => map.get(segment).copied(),
        }
    }

    /// Adds a segment that is not there yet.
    fn insert(&mut self, segment: &[u8], node: u32) {
        match self {
            Children::Few(list) if list.len() < CHILDREN_COMPARED_MAX => list.push((segment.into(), node)),
            Children::Few(list) => {
                let mut map: HashMap<_, _, FixedState> = list.drain(..).collect();
                map.insert(segment.into(), node);
                *self = Children::Many(map);
            }
            Children::Many(map) => {
                map.insert(segment.into(), node);
            }
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Children::Few(list) if list.is_empty())
    }
}

impl PathIndex {
    /// Compiles the paths of a virtual host's routes.
    pub(super) fn compile(routes: &[Route]) -> PathIndex {
        let mut builder = Builder::new();
        for (index, route) in routes.iter().enumerate() {
            if route.matches().connect() {
                builder.connects.push(Candidate::new(index, route));
                continue;
            }
            builder.add(Candidate::new(index, route), route.matches().path());
        }
        builder.finish()
    }

    /// Compiles path conditions, in order.
    pub(crate) fn of<'p>(paths: impl Iterator<Item = (Candidate, &'p PathMatch)>) -> PathIndex {
        let mut builder = Builder::new();
        paths.for_each(|(candidate, path)| builder.add(candidate, path));
        builder.finish()
    }

    /// Routes that take CONNECT requests, in order.
    pub(super) fn connects(&self) -> &[Candidate] {
        &self.connects
    }

    /// Adds the routes whose path condition matches.
    #[inline(always)]
    pub(super) fn collect<'a>(&'a self, candidates: &mut Candidates<'a>) {
        candidates.regexes = &self.regexes;
        self.collect_path(candidates.path, candidates);
    }

    /// As [`PathIndex::collect`], for a path of its own, and without regular expressions.
    // Never inlined, so that there are two copies of what follows: this one, and that in the search for a route, through
    // which every request goes. Shared between the two, it costs the latter half as much again in calls.
    #[inline(never)]
    pub(crate) fn collect_at<'a>(&'a self, path: &str, candidates: &mut Candidates<'a>) {
        self.collect_path(path, candidates);
    }

    #[inline(always)]
    fn collect_path<'a>(&'a self, path: &str, candidates: &mut Candidates<'a>) {
        candidates.add(&self.everything);
        if path.len() <= self.exact_bytes_max
            && let Some(routes) = self.exact.get(path.as_bytes())
        {
            candidates.add(routes);
        }
        if !self.string_prefix_lengths.is_empty() {
            self.collect_beginnings(path, candidates);
        }
        if let Some(segments) = path.as_bytes().strip_prefix(b"/") {
            self.walk(segments, candidates);
        }
    }

    /// Never inlined: most virtual hosts have no prefixes that are texts, and their requests pay for a branch.
    #[inline(never)]
    fn collect_beginnings<'a>(&'a self, path: &str, candidates: &mut Candidates<'a>) {
        for &length in &self.string_prefix_lengths {
            let beginning = path.as_bytes().get(..length);
            if let Some(routes) = beginning.and_then(|beginning| self.string_prefixes.get(beginning)) {
                candidates.add(routes);
            }
        }
    }

    /// Goes every way through the tree that the segments allow. Ways not yet gone wait on a stack, since a template of
    /// a thousand segments must not take a thousand call frames.
    #[inline(always)]
    fn walk<'a>(&'a self, segments: &[u8], candidates: &mut Candidates<'a>) {
        let mut waiting: SmallVec<[(u32, &[u8]); 4]> = SmallVec::new();
        let (mut node, mut rest) = (&self.nodes[0], segments);
        loop {
            let mut next = None;
            if !node.is_leaf() {
                let end = slash(rest);
                let (segment, after) = (&rest[..end], rest.get(end + 1..));
                next = node
                    .literals
                    .find(segment)
                    .and_then(|literal| self.enter(literal, after, candidates));
                if node.variable != 0 && end > 0 {
                    let way = self.enter(node.variable, after, candidates);
                    match next {
                        Some(_) => waiting.extend(way),
                        None => next = way,
                    }
                }
            }
            let Some((index, after)) = next.or_else(|| waiting.pop()) else {
                return;
            };
            (node, rest) = (&self.nodes[index as usize], after);
        }
    }

    /// Adds the routes of a node that was reached; says how to go on, if the path and the tree do. `after` is what
    /// follows the `/` behind the node's segment, if there is one.
    #[inline(always)]
    fn enter<'a, 'p>(
        &'a self,
        index: u32,
        after: Option<&'p [u8]>,
        candidates: &mut Candidates<'a>,
    ) -> Option<(u32, &'p [u8])> {
        let node = &self.nodes[index as usize];
        candidates.add(&node.at_border);
        match after {
            Some(after) => {
                candidates.add(&node.below);
                (!node.is_leaf()).then_some((index, after))
            }
            None => {
                candidates.add(&node.at_end);
                None
            }
        }
    }
}

/// Where the first `/` is, or the end. Segments are short: eight bytes at a time in registers take half the
/// instructions of a call to a vectorized search.
#[inline(always)]
fn slash(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const SLASHES: u64 = u64::from_ne_bytes([b'/'; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // The lowest byte that is a slash becomes zero, and of zero bytes alone the highest bit is set here.
        let difference = u64::from_le_bytes(*word) ^ SLASHES;
        let zeros = difference.wrapping_sub(ONES) & !difference & (ONES << 7);
        if zeros != 0 {
            return index * 8 + zeros.trailing_zeros() as usize / 8;
        }
    }
    let rest_at = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    words.len() * 8 + rest_at
}

struct Builder {
    exact: HashMap<Box<[u8]>, Routes, FixedState>,
    everything: Routes,
    nodes: Vec<Node>,
    string_prefixes: HashMap<Box<[u8]>, Routes, FixedState>,
    regexes: Vec<(Candidate, Regex)>,
    connects: Vec<Candidate>,
}

impl Builder {
    fn new() -> Builder {
        Builder {
            exact: HashMap::default(),
            everything: Routes::new(),
            nodes: vec![Node::default()],
            string_prefixes: HashMap::default(),
            regexes: Vec::new(),
            connects: Vec::new(),
        }
    }

    fn add(&mut self, candidate: Candidate, path: &PathMatch) {
        match path {
            PathMatch::Exact(path) => {
                push_reachable(self.exact.entry(path.as_bytes().into()).or_default(), candidate);
            }
            PathMatch::Prefix(prefix) if prefix == "/" => push_reachable(&mut self.everything, candidate),
            PathMatch::Prefix(prefix) => self.add_prefix(candidate, prefix),
            PathMatch::StringPrefix(prefix) => {
                let routes = self.string_prefixes.entry(prefix.as_bytes().into());
                push_reachable(routes.or_default(), candidate);
            }
            PathMatch::Template(template) => {
                let node = template.segments().iter().fold(0, |node, segment| match segment {
                    TemplateSegment::Literal(literal) => self.literal(node, literal.as_bytes()),
                    TemplateSegment::Variable(_) => self.variable(node),
                });
                push_reachable(&mut self.nodes[node as usize].at_end, candidate);
            }
            PathMatch::Regex(pattern) => self.regexes.push((candidate, pattern.anchored().clone())),
        }
    }

    fn add_prefix(&mut self, candidate: Candidate, prefix: &str) {
        // A normalized path begins with `/`, so a prefix that does not matches nothing.
        let Some(segments) = prefix.strip_prefix('/') else {
            return;
        };
        let (segments, below) = match segments.strip_suffix('/') {
            Some(segments) => (segments, true),
            None => (segments, false),
        };
        let node = segments
            .split('/')
            .fold(0, |node, segment| self.literal(node, segment.as_bytes()));
        let node = &mut self.nodes[node as usize];
        push_reachable(
            if below {
                &mut node.below
            } else {
                &mut node.at_border
            },
            candidate,
        );
    }

    fn literal(&mut self, node: u32, segment: &[u8]) -> u32 {
        if let Some(child) = self.nodes[node as usize].literals.find(segment) {
            return child;
        }
        let child = self.new_node();
        self.nodes[node as usize].literals.insert(segment, child);
        child
    }

    fn variable(&mut self, node: u32) -> u32 {
        if self.nodes[node as usize].variable == 0 {
            let child = self.new_node();
            self.nodes[node as usize].variable = child;
        }
        self.nodes[node as usize].variable
    }

    fn new_node(&mut self) -> u32 {
        let index =
            u32::try_from(self.nodes.len()).expect("a virtual host's paths have fewer than 2^32 segments");
        self.nodes.push(Node::default());
        index
    }

    fn finish(mut self) -> PathIndex {
        // Behind a route that takes everything no regular expression can be reached.
        if let Some(last) = self.everything.last().filter(|last| last.is_unconditional()) {
            self.regexes.retain(|(candidate, _)| candidate < last);
        }
        let lengths: BTreeSet<usize> = self.string_prefixes.keys().map(|prefix| prefix.len()).collect();
        PathIndex {
            string_prefixes: self.string_prefixes,
            string_prefix_lengths: lengths.into_iter().collect(),
            exact_bytes_max: self.exact.keys().map(|path| path.len()).max().unwrap_or(0),
            exact: self.exact,
            everything: self.everything,
            nodes: self.nodes.into(),
            regexes: self.regexes.into(),
            connects: self.connects.into(),
        }
    }
}

/// Routes whose path matches, in order; each stands in one list only.
pub(crate) struct Candidates<'a> {
    /// Lists that are not empty, each in order.
    lists: SmallVec<[&'a [Candidate]; 4]>,
    /// Regular expressions that are not tried yet.
    regexes: &'a [(Candidate, Regex)],
    path: &'a str,
}

impl<'a> Candidates<'a> {
    /// None yet, for this path.
    pub(crate) fn new(path: &'a str) -> Candidates<'a> {
        Candidates {
            lists: SmallVec::new(),
            regexes: &[],
            path,
        }
    }

    /// Adds candidates, in order.
    #[inline(always)]
    pub(crate) fn add(&mut self, routes: &'a [Candidate]) {
        if !routes.is_empty() {
            self.lists.push(routes);
        }
    }

    /// Lists that were added.
    pub(crate) fn list_count(&self) -> usize {
        self.lists.len()
    }

    /// All of them at once, in order and each once: it takes no longer where the same list was added often.
    pub(crate) fn into_sorted(mut self) -> Vec<Candidate> {
        self.lists.sort_unstable_by_key(|list| list.as_ptr());
        self.lists.dedup_by_key(|list| list.as_ptr());
        let matching = self.regexes.iter().filter(|(_, regex)| regex.is_match(self.path));
        let mut all: Vec<Candidate> = self.lists.concat();
        all.extend(matching.map(|(candidate, _)| *candidate));
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Iterator for Candidates<'_> {
    type Item = Candidate;

    #[inline(always)]
    fn next(&mut self) -> Option<Candidate> {
        let nearest = self
            .lists
            .iter_mut()
            .filter(|list| !list.is_empty())
            .min_by_key(|list| list[0]);
        while let Some(((candidate, regex), rest)) = self.regexes.split_first() {
            if nearest.as_ref().is_some_and(|list| list[0] < *candidate) {
                break;
            }
            self.regexes = rest;
            if regex.is_match(self.path) {
                return Some(*candidate);
            }
        }
        let list = nearest?;
        let (&candidate, rest) = list.split_first()?;
        *list = rest;
        Some(candidate)
    }
}
