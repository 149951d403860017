//! Changes of policies, rate limits and identities.

use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        &[(
            "rules: [{ paths: [{ prefix: /private }] }]",
            "rules: [{ methods: [GET, HEAD, PUT] }]",
        )],
        "allow-always-denied",
        "authorization policy `readers`",
        "rules",
        "name: readers",
    ),
    row(
        &[(
            "rules: [{ paths: [{ prefix: /private }] }]",
            "rules: [{ methods: [GET] }, { methods: [HEAD] }]",
        )],
        "allow-always-denied",
        "authorization policy `readers`",
        "rules",
        "name: readers",
    ),
    row(
        &[(
            "rules: [{ paths: [{ prefix: /private }] }]",
            "rules: [{ trust_domains: [example.org] }]",
        )],
        "allow-always-denied",
        "authorization policy `friends`",
        "rules",
        "name: friends",
    ),
    row(
        &[(
            "rules: [{ paths: [{ prefix: /private }] }]",
            "rules: [{ direct_addresses: [10.0.0.0/7] }]",
        )],
        "allow-always-denied",
        "authorization policy `local`",
        "rules",
        "name: local",
    ),
    row(
        &[(
            "rules: [{ methods: [GET, HEAD] }]",
            "rules: [{ paths: [{ path: /private/a }, { prefix: /private/b }] }]",
        )],
        "allow-always-denied",
        "authorization policy `readers`",
        "rules",
        "name: readers",
    ),
    row(
        &[("rules: [{ methods: [GET, HEAD] }]", "rules: [{ always: true }]")],
        "allow-adds-nothing",
        "authorization policy `friends`",
        "rules",
        "name: friends",
    ),
    row(
        &[("    rules: [{ paths: [{ prefix: /private }] }]", "    rules: []")],
        "policy-matches-nothing",
        "authorization policy `closed`",
        "",
        "name: closed",
    ),
    row(
        &[(
            "            jwt: { provider: issuer }\n            authorization: [members]\n            rate_limits: [plans, subjects]",
            "            jwt: { provider: issuer }\n            rate_limits: [plans, subjects]",
        )],
        "part-unused",
        "authorization policy `members`",
        "",
        "name: members",
    ),
    row(
        &[(
            "            authorization: [members]\n            rate_limits: [plans, subjects]",
            "            authorization: [members]\n            rate_limits: [subjects]",
        )],
        "part-unused",
        "rate limit `plans`",
        "",
        "name: plans",
    ),
    row(
        &[(
            "rate_limits: [connections]",
            "rate_limits: [connections, subjects]",
        )],
        "rate-limit-never-counts",
        "filter chain `database`",
        "",
        "name: database",
    ),
    row(
        &[(
            "  - name: peers\n    descriptors: [[source_identity]]\n",
            "  - name: peers\n",
        )],
        "rate-limit-never-refuses",
        "rate limit `everything`",
        "local.limit",
        "name: everything",
    ),
    row(
        &[
            (
                "rate_limits: [plans, subjects]",
                "rate_limits: [plans, subjects, loose]",
            ),
            (
                "  - name: connections\n",
                "  - name: loose\n    local: { limit: { requests: 2000, per: 1s, burst: 5000 } }\n  - name: connections\n",
            ),
        ],
        "rate-limit-never-refuses",
        "rate limit `loose`",
        "local.limit",
        "name: loose",
    ),
    row(
        &[
            ("{ plan: gold, user: ann }", "{ plan: gold }"),
            (
                "- { values: { plan: gold }, limit: { requests: 100, per: 10s } }",
                "- { values: { plan: gold, user: ann }, limit: { requests: 100, per: 10s } }",
            ),
        ],
        "rate-limit-override-shadowed",
        "rate limit `plans`",
        "local.overrides[1]",
        "name: plans",
    ),
    row(
        &[
            (
                "jwt: { provider: issuer }\n            authorization: [members]\n            rate_limits: [plans, subjects]",
                "authorization: [members]\n            rate_limits: [plans]",
            ),
            (
                "  - name: subjects\n    descriptors: [[{ claim: sub, key: subject }]]\n    local: { limit: { requests: 20, per: 1s } }\n",
                "",
            ),
        ],
        "claim-never-known",
        "authorization policy `members`",
        "rules",
        "name: members",
    ),
    row(
        &[
            (
                "jwt: { provider: issuer }\n            authorization: [members]\n            rate_limits: [plans, subjects]",
                "rate_limits: [plans, subjects]",
            ),
            (
                "  - name: members\n    action: allow\n    rules: [{ claims: [{ provider: issuer, path: [role], exact: member }] }]\n",
                "",
            ),
            ("jwt_providers:\n  - name: issuer\n", "jwt_providers: []\n#"),
            ("    keys: { inline", "#    keys: { inline"),
        ],
        "rate-limit-never-counts",
        "rate limit `subjects`",
        "descriptors",
        "name: subjects",
    ),
    row(
        &[
            (
                "  - name: members\n    action: allow\n",
                "  - { name: guests, action: deny, rules: [{ not: { methods: [GET] }, authenticated: true }] }\n  - name: members\n    action: allow\n",
            ),
            (
                "      - name: plain\n        http:",
                "      - name: plain\n        authorization: [guests]\n        http:",
            ),
        ],
        "identity-never-known",
        "authorization policy `guests`",
        "rules",
        "{ name: guests",
    ),
    row(
        &[(
            "  - name: connections\n    descriptors: [[remote_address]]",
            "  - name: connections\n    descriptors: [[remote_address, source_identity]]",
        )],
        "rate-limit-never-counts",
        "rate limit `connections`",
        "descriptors",
        "name: connections",
    ),
];
