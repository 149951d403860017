use super::*;
use hickory_resolver::proto::rr::rdata::{A, CNAME, SRV};
use std::fs;
use std::net::Ipv4Addr;
use system::System;

fn record(name: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, data)
}

fn a(name: &str, ttl: u32, last: u8) -> Record {
    record(name, ttl, RData::A(A(Ipv4Addr::new(10, 0, 0, last))))
}

#[test]
fn an_answers_ttl_is_the_smallest_on_the_way_to_its_records() {
    let to = Name::from_ascii("b.example.").unwrap();
    let records = [
        record("a.example.", 7, RData::CNAME(CNAME(to))),
        a("b.example.", 30, 1),
        a("b.example.", 20, 2),
    ];
    let Answer::Found { records, ttl } = found(RecordKind::A, &records) else {
        panic!("there are records");
    };
    assert_eq!(ttl, Duration::from_secs(7));
    assert_eq!(
        records,
        Records::Addresses(vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()])
    );
    assert_eq!(
        found(RecordKind::Aaaa, &[a("a.example.", 9, 1)]),
        Answer::Empty { ttl: None },
        "records of another kind are none"
    );
}

#[test]
fn services_are_lower_case_without_the_last_dot_and_the_root_is_no_target() {
    let service = |target: &str| {
        let target = Name::from_ascii(target).unwrap();
        record("_x._tcp.example.", 5, RData::SRV(SRV::new(1, 2, 3, target)))
    };
    let Answer::Found {
        records: Records::Services(services),
        ..
    } = found(RecordKind::Srv, &[service("Host.Example."), service(".")])
    else {
        panic!("there are services");
    };
    let targets: Vec<&str> = services.iter().map(|service| service.target.as_str()).collect();
    assert_eq!(targets, ["host.example", ""]);
}

#[test]
fn names_are_absolute_and_may_hold_underscores() {
    let name = absolute("_http._tcp.a.example").unwrap();
    assert!(name.is_fqdn());
    assert_eq!(name.to_ascii(), "_http._tcp.a.example.");
}

#[tokio::test]
async fn the_systems_files_are_read_again_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let (resolvers, hosts) = (folder.path().join("resolv.conf"), folder.path().join("hosts"));
    let system = System::of(resolvers.clone(), hosts.clone(), Duration::from_secs(1));
    let (resolver, names) = system.current();
    assert!(resolver.unwrap_err().contains("resolv.conf"));
    let question = |kind| Question {
        host: "db.example".into(),
        kind,
    };
    assert_eq!(names.answer(&question(RecordKind::A)), None);

    fs::write(&resolvers, "nameserver 127.0.0.1\n").unwrap();
    fs::write(&hosts, "10.0.0.7 DB.example other # a comment\n").unwrap();
    let (resolver, names) = system.current();
    assert!(resolver.is_ok());
    let answer = |kind| names.answer(&question(kind));
    assert_eq!(
        answer(RecordKind::A),
        Some(Answer::Found {
            records: Records::Addresses(vec!["10.0.0.7".parse().unwrap()]),
            ttl: Duration::MAX
        })
    );
    // As the system does it: a name in the file is not asked for in another family.
    assert!(matches!(answer(RecordKind::Aaaa), Some(Answer::Empty { .. })));
    assert_eq!(answer(RecordKind::Srv), None);
}

#[tokio::test]
async fn clusters_that_ask_the_same_share_a_client() {
    let clients = Clients::default();
    let resolvers = ["127.0.0.1:53".parse().unwrap()];
    let one = clients.client(&resolvers, Duration::from_secs(1));
    let same = clients.client(&resolvers, Duration::from_secs(1));
    let other = clients.client(&resolvers, Duration::from_secs(2));
    assert!(Arc::ptr_eq(&one.inner, &same.inner));
    assert!(!Arc::ptr_eq(&one.inner, &other.inner));
    drop((one, same, other));
    let _another = clients.client(&[], Duration::from_secs(1));
    assert_eq!(clients.live.lock().len(), 1, "what nobody holds is forgotten");
}
