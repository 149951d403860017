use super::*;
use tempfile::TempDir;

/// A root directory with these files.
fn root(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    root
}

const V2_MOUNT: &str = "\
23 30 0:22 / /proc rw,nosuid - proc proc rw
30 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
";

const V1_MOUNT: &str = "\
30 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
35 24 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
36 24 0:31 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
37 24 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

const V1_GROUPS: &str = "12:cpu,cpuacct:/a\n4:memory:/a/b\n0::/user.slice\n";

fn tightest(root: &TempDir) -> Option<(u64, u64)> {
    Cgroup::of_this_process(root.path())?.tightest()
}

#[test]
fn version_2_is_its_working_set_of_its_limit() {
    let root = root(&[
        ("proc/self/cgroup", "0::/kubepods/pod/box\n"),
        ("proc/self/mountinfo", V2_MOUNT),
        ("sys/fs/cgroup/kubepods/pod/box/memory.max", "1000\n"),
        ("sys/fs/cgroup/kubepods/pod/box/memory.current", "900\n"),
        (
            "sys/fs/cgroup/kubepods/pod/box/memory.stat",
            "anon 500\nfile 400\nactive_file 100\ninactive_file 300\n",
        ),
    ]);
    assert_eq!(tightest(&root), Some((600, 1000)));
}

#[test]
fn the_tightest_of_nested_limits_counts() {
    let file = |group: &str, name: &str| format!("sys/fs/cgroup/{group}{name}");
    for (own, pod, expected) in [
        // The pod's is nearer, though it is the larger.
        (("1000", "100"), ("2000", "1900"), Some((1900, 2000))),
        (("1000", "950"), ("2000", "1000"), Some((950, 1000))),
        (("max", "950"), ("2000", "1000"), Some((1000, 2000))),
        (("1000", "950"), ("max", "1000"), Some((950, 1000))),
        (("max", "950"), ("max", "1000"), None),
    ] {
        let root = root(&[
            ("proc/self/cgroup", "0::/pod/box\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            (&file("pod/box/", "memory.max"), own.0),
            (&file("pod/box/", "memory.current"), own.1),
            (&file("pod/", "memory.max"), pod.0),
            (&file("pod/", "memory.current"), pod.1),
        ]);
        assert_eq!(tightest(&root), expected, "{own:?} {pod:?}");
    }
}

/// Without a namespace of its own a container sees the host's path of its group, and only its group is mounted.
#[test]
fn a_container_finds_its_own_group() {
    let group = "/kubepods/pod/box";
    for (groups, mounted) in [
        (group, group),
        ("/", "/"),
        ("/somewhere/else", "/kubepods/pod/box"),
    ] {
        let mounts = format!("35 24 0:30 {mounted} /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
        let root = root(&[
            ("proc/self/cgroup", &format!("0::{groups}\n")),
            ("proc/self/mountinfo", &mounts),
            ("sys/fs/cgroup/memory.max", "4096"),
            ("sys/fs/cgroup/memory.current", "1024"),
        ]);
        assert_eq!(tightest(&root), Some((1024, 4096)), "{groups} {mounted}");
    }
}

#[test]
fn version_1_is_read_where_it_has_memory() {
    let below = |name: &str| format!("sys/fs/cgroup/memory/a/b/{name}");
    let files = |limit: &'static str| {
        root(&[
            ("proc/self/cgroup", V1_GROUPS),
            ("proc/self/mountinfo", V1_MOUNT),
            (&below("memory.limit_in_bytes"), limit),
            (&below("memory.usage_in_bytes"), "700"),
            (
                &below("memory.stat"),
                "inactive_file 1\ntotal_inactive_file 50\ntotal_cache 90\n",
            ),
            (
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "9223372036854771712",
            ),
            ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "800"),
            ("sys/fs/cgroup/unified/user.slice/memory.max", "1"),
            ("sys/fs/cgroup/unified/user.slice/memory.current", "1"),
        ])
    };
    assert_eq!(tightest(&files("1000")), Some((650, 1000)));
    // No limit, with pages of 4 KiB and of 64 KiB.
    for none in ["9223372036854771712", "9223372036854710272"] {
        assert_eq!(tightest(&files(none)), None);
    }
}

#[test]
fn where_there_is_no_group_there_is_no_limit() {
    for files in [
        vec![],
        vec![("proc/self/cgroup", "0::/\n")],
        vec![
            ("proc/self/cgroup", "nonsense"),
            ("proc/self/mountinfo", V2_MOUNT),
        ],
        vec![("proc/self/cgroup", "0::/\n"), ("proc/self/mountinfo", "35 24 -")],
        vec![("proc/self/cgroup", "0::/a\n"), ("proc/self/mountinfo", V2_MOUNT)],
        vec![
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/memory.max", "many"),
            ("sys/fs/cgroup/memory.current", "1"),
        ],
        vec![
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/memory.max", "10"),
        ],
    ] {
        assert_eq!(tightest(&root(&files)), None, "{files:?}");
    }
}

#[test]
fn a_limit_that_changes_is_seen_and_more_cache_than_use_is_none() {
    let root = root(&[
        ("proc/self/cgroup", "0::/\n"),
        ("proc/self/mountinfo", V2_MOUNT),
        ("sys/fs/cgroup/memory.max", "max"),
        ("sys/fs/cgroup/memory.current", "10"),
        ("sys/fs/cgroup/memory.stat", "inactive_file 11\n"),
    ]);
    let group = Cgroup::of_this_process(root.path()).unwrap();
    assert_eq!(group.tightest(), None);
    fs::write(root.path().join("sys/fs/cgroup/memory.max"), "0\n").unwrap();
    assert_eq!(group.tightest(), Some((0, 0)));
}

#[test]
fn mount_points_are_unescaped() {
    let mount = mount_of(
        r"35 24 0:30 /a\040b /sys/c\134g\0 rw - cgroup2 cgroup2 rw",
        Version::Two,
    )
    .unwrap();
    assert_eq!(mount.root, Path::new("/a b"));
    assert_eq!(mount.point, Path::new(r"/sys/c\g\0"));
}

/// A real group, where this machine lets a test make one: only root may, and only where the hierarchy is writable.
#[test]
fn a_real_group_is_read_as_the_kernel_writes_it() {
    let Some(group) = Cgroup::of_this_process(Path::new("/")) else {
        eprintln!("skipped: this process is in no control group");
        return;
    };
    let Some(own) = group.directories.first() else {
        return;
    };
    let made = own.join(format!("outrigger-test-{}", std::process::id()));
    if let Err(error) = fs::create_dir(&made) {
        eprintln!("skipped: no control group can be made here: {error}");
        return;
    }
    let below = Cgroup {
        version: group.version,
        directories: vec![made.clone()],
    };
    let (used, limit) = group.version.files();
    let has_memory = made.join(used).exists();
    let before = below.tightest();
    let set = fs::write(made.join(limit), "67108864");
    let after = below.tightest();
    fs::remove_dir(&made).expect("an empty group can be removed");
    if !has_memory || set.is_err() {
        eprintln!("skipped: groups that are made here do not account for memory");
        return;
    }
    assert_eq!(before, None);
    assert_eq!(after, Some((0, 67_108_864)));
}
