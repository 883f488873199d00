//! The files by which programs find names: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`.
//!
//! A container has its own, whatever its layers have: its root may be bare, and a link in it to where the host keeps
//! such a file leads nowhere. They are files of ours in memory, mounted over the places of those names; so the layers
//! and a scratch that is kept stay as they are, but for an empty file in the scratch where the layers have none. A
//! scratch that goes with the container has no such file: a layer in memory has it (`rootfs/bare.rs`). Lines of the
//! layers' `/etc/hosts` come first, and what is missing after them.
//!
//! The image is not trusted. `/etc` has to be a directory of the root itself, and a link in it is covered and not
//! followed. What stands in the way is left as it is, and the time line of the operation says so.
//!
//! The files are in the memory of `/dev`, in the directory that the file system of message queues covers: a file system
//! for them alone would take more calls than they do.

use std::{
    fs::{self, File},
    io::Read as _,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use hcs_schema::{
    documents::{Container, HostEntry, Networking},
    rules::names::domains,
};
use rustix::{
    fs::{FileType, Mode, OFlags, fstat, mknodat, open, openat},
    io::Errno,
    process::umask,
};

use super::{mount, place, rootfs::Root};
use crate::{spec::NamesSpec, steps};

/// The largest file that is taken over: what is larger stays as it is.
const MOST_BYTES: u64 = 16 << 10;

/// Where the files are made, below `/dev`.
const STORE: &str = "mqueue";

/// What resolves names on the host.
const RESOLVER: &str = "/etc/resolv.conf";

/// The servers that systemd-resolved asks, as a resolver's file.
const UPSTREAM: &str = "/run/systemd/resolve/resolv.conf";

/// Finds out what is to be made; `None` where the document says that the layers' files are to stay.
pub(crate) fn check(container: &Container, hostname: &str) -> Option<NamesSpec> {
    let guest = container.guest_os.as_ref();
    if guest.and_then(|guest| guest.keep_name_files) == Some(true) {
        return None;
    }
    let Some(networking) = &container.networking else {
        return Some(NamesSpec {
            hostname: hostname.to_owned(),
            resolver: resolver(""),
            hosts: String::new(),
            // It may come into a network later.
            follows: true,
        });
    };
    let network = networking.namespace.as_deref().unwrap_or_default();
    let own_links = network.is_empty();
    let text = match own_links {
        true => own_resolver(networking),
        false => asked_for(networking, || resolver(network)),
    };
    let entries = networking.host_entries.as_deref().unwrap_or_default();
    let line = |entry: &HostEntry| {
        let (name, address) = (entry.name.as_deref()?, entry.address.as_deref()?);
        Some(format!("{address}\t{name}\n"))
    };
    Some(NamesSpec {
        hostname: hostname.to_owned(),
        resolver: text,
        hosts: entries.iter().filter_map(line).collect(),
        follows: own_links,
    })
}

/// The resolver's file of a system with links of its own, and a loopback interface that no server of the host listens
/// at.
#[must_use]
pub fn own_resolver(networking: &Networking) -> Option<String> {
    asked_for(networking, || {
        let text = resolver("");
        text.map(|text| reachable(&text, || upstream(Path::new(UPSTREAM))))
    })
}

/// The resolver's file with the servers and domains of the document, where it names some.
fn asked_for(networking: &Networking, host: impl FnOnce() -> Option<String>) -> Option<String> {
    let servers = networking.dns_server_list.as_deref().unwrap_or_default();
    let listed = networking.dns_search_list.as_deref().unwrap_or_default();
    let searched: Vec<&str> = domains(listed).collect();
    if servers.is_empty() && searched.is_empty() {
        return host();
    }
    let text = host().unwrap_or_default();
    let is_replaced = |line: &&str| match line.split_whitespace().next() {
        Some("nameserver") => !servers.is_empty(),
        Some("search" | "domain") => !searched.is_empty(),
        // Comments of the host's file are about that.
        Some(word) => word.starts_with(['#', ';']),
        None => true,
    };
    let kept = text.lines().filter(|line| !is_replaced(line));
    let mut lines: Vec<String> = kept.map(str::to_owned).collect();
    lines.extend(servers.iter().map(|server| format!("nameserver {server}")));
    if !searched.is_empty() {
        lines.push(format!("search {}", searched.join(" ")));
    }
    Some(lines.iter().map(|line| format!("{line}\n")).collect())
}

/// A resolver's file without servers of the host's loopback interface; where there are no others, those that these ask.
fn reachable(text: &str, upstream: fn() -> Option<String>) -> String {
    let is_server = |line: &str| line.trim_start().starts_with("nameserver");
    let is_here = |line: &str| {
        let address = line.split_whitespace().nth(1).unwrap_or_default();
        let address: Option<IpAddr> = address.parse().ok();
        is_server(line) && address.is_some_and(|address| address.is_loopback())
    };
    let kept: Vec<&str> = text.lines().filter(|line| !is_here(line)).collect();
    if !kept.iter().any(|line| is_server(line))
        && let Some(upstream) = upstream()
    {
        return reachable(&upstream, || None);
    }
    kept.iter().map(|line| format!("{line}\n")).collect()
}

/// The servers that systemd-resolved asks. Its directory is another user's.
fn upstream(path: &Path) -> Option<String> {
    lines(path, OFlags::NOFOLLOW)
}

/// The lines of a resolver's file that are about names. It may be another user's, or a link into a directory of one, so
/// it may be anything: nothing is waited for, and nothing else is taken over.
fn lines(path: &Path, more: OFlags) -> Option<String> {
    const WORDS: [&str; 5] = ["nameserver", "search", "domain", "options", "sortlist"];
    let file = open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | more,
        Mode::empty(),
    );
    let file = File::from(file.ok()?);
    let found = file.metadata().ok()?;
    if !found.is_file() || found.len() > MOST_BYTES {
        return None;
    }
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    let known = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        word.is_empty() || word.starts_with(['#', ';']) || WORDS.contains(&word)
    };
    let known = text.lines().filter(known);
    Some(known.map(|line| format!("{line}\n")).collect())
}

/// The resolver's file for a network namespace, as `ip netns exec` has it: one of its own, else the host's.
fn resolver(network: &str) -> Option<String> {
    let own = (!network.is_empty() && !network.contains('/'))
        .then(|| PathBuf::from(format!("/etc/netns/{network}/resolv.conf")));
    own.into_iter()
        .chain([PathBuf::from(RESOLVER)])
        .find_map(|path| {
            // No device is opened.
            let is_file = fs::metadata(&path).is_ok_and(|found| found.is_file());
            is_file.then(|| lines(&path, OFlags::empty()))?
        })
}

/// Mounts them into `root`; `dev` is the container's `/dev`, mounted and not yet with anything below it. Returns its
/// `/etc/hosts`, if names of networks go there.
pub(crate) fn apply(root: &Root, dev: BorrowedFd<'_>, names: &NamesSpec) -> Option<OwnedFd> {
    // Modes are meant as written here; the agent's mask is set later.
    let mask = umask(Mode::empty());
    let placed = Places::open(root, dev).map(|places| places.fill(names));
    umask(mask);
    placed.unwrap_or_else(|errno| {
        left_out("their directory", errno);
        None
    })
}

/// Says that something is not as one might expect it.
fn left_out(what: &str, errno: Errno) {
    steps::warn(format!("left /etc as it is: {what}: {errno}"));
}

/// Where the files come from, and where they go.
struct Places {
    store: OwnedFd,
    etc: OwnedFd,
}

impl Places {
    fn open(root: &Root, dev: BorrowedFd<'_>) -> Result<Self, Errno> {
        Ok(Self {
            store: place::open_own(dev, STORE, OFlags::PATH | OFlags::DIRECTORY)?,
            etc: place::plain_directory(root.directory.as_fd(), NamesSpec::DIRECTORY)?,
        })
    }

    fn fill(&self, names: &NamesSpec) -> Option<OwnedFd> {
        let host_name = format!("{}\n", names.hostname);
        let resolver = names.resolver.as_ref();
        let made = [
            ("hosts", self.hosts(names)),
            (
                "hostname",
                self.put("hostname", host_name.as_bytes()).map(Some),
            ),
            (
                "resolv.conf",
                resolver
                    .map(|text| self.put("resolv.conf", text.as_bytes()))
                    .transpose(),
            ),
        ];
        let [hosts, ..] = made.map(|(name, made)| {
            made.unwrap_or_else(|errno| {
                left_out(name, errno);
                None
            })
        });
        hosts.filter(|_| names.follows)
    }

    fn hosts(&self, names: &NamesSpec) -> Result<Option<OwnedFd>, Errno> {
        let own = match self.own("hosts")? {
            Own::Text(text) => text,
            Own::Nothing => Vec::new(),
            Own::TooLarge => return Err(Errno::FBIG),
        };
        let text = match completed(&own, &names.hostname, &names.hosts) {
            None if names.follows => Some(own),
            text => text,
        };
        text.map(|text| self.put("hosts", &text)).transpose()
    }

    /// What the layers have under a name.
    fn own(&self, name: &str) -> Result<Own, Errno> {
        let found = match self.target(name) {
            Err(Errno::NOENT) => return Ok(Own::Nothing),
            found => fstat(&found?)?,
        };
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Ok(Own::Nothing);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let file = place::open_own(self.etc.as_fd(), name, flags)?;
        let mut text = Vec::new();
        let read = File::from(file).take(MOST_BYTES + 1).read_to_end(&mut text);
        match read {
            Ok(_) if text.len() as u64 > MOST_BYTES => Ok(Own::TooLarge),
            Ok(_) => Ok(Own::Text(text)),
            Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }

    /// The place of a name, which may be a link.
    fn target(&self, name: &str) -> Result<OwnedFd, Errno> {
        place::open_own(self.etc.as_fd(), name, OFlags::PATH | OFlags::NOFOLLOW)
    }

    /// Makes a file of ours and mounts it on the place of that name.
    fn put(&self, name: &str, text: &[u8]) -> Result<OwnedFd, Errno> {
        let target = match self.target(name) {
            Err(Errno::NOENT) => {
                let mode = Mode::from_raw_mode(0o644);
                mknodat(&self.etc, name, FileType::RegularFile, mode, 0)?;
                self.target(name)?
            }
            target => target?,
        };
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = openat(&self.store, name, flags, Mode::from_raw_mode(0o644))?;
        let mut rest = text;
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        let view = mount::clone_tree(self.store.as_fd(), name, false)?;
        mount::attach(view.as_fd(), target.as_fd())?;
        Ok(file)
    }
}

/// A file of the layers.
enum Own {
    Text(Vec<u8>),
    Nothing,
    TooLarge,
}

/// `own` with lines for what it does not name of `localhost` and `hostname`, and `more`; `None` where nothing is
/// missing.
fn completed(own: &[u8], hostname: &str, more: &str) -> Option<Vec<u8>> {
    let mut added = String::new();
    if !has_name(own, "localhost") {
        added.push_str("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    }
    if !has_name(own, hostname) {
        added.push_str(&format!("127.0.0.1\t{hostname}\n"));
    }
    added.push_str(more);
    if added.is_empty() {
        return None;
    }
    let mut text = own.to_vec();
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend_from_slice(added.as_bytes());
    Some(text)
}

/// Whether a line of `hosts(5)` gives an address to `name`.
fn has_name(hosts: &[u8], name: &str) -> bool {
    hosts.split(|byte| *byte == b'\n').any(|line| {
        let text = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let words = text.split(u8::is_ascii_whitespace);
        let mut words = words.filter(|word| !word.is_empty()).skip(1);
        words.any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use rustix::fs::CWD;

    use super::*;

    #[test]
    fn lines_of_the_layers_stay_and_what_is_missing_follows() {
        let completed = |own: &str, name: &str| {
            let text = completed(own.as_bytes(), name, "")?;
            Some(String::from_utf8(text).unwrap())
        };
        let both =
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\tbox\n";
        assert_eq!(completed("", "box").as_deref(), Some(both));
        assert_eq!(
            completed("10.0.0.1 db #box\n127.0.0.1 LOCALHOST", "box").as_deref(),
            Some("10.0.0.1 db #box\n127.0.0.1 LOCALHOST\n127.0.0.1\tbox\n")
        );
        assert_eq!(completed("::1 a box\n127.0.0.1\tlocalhost\n", "box"), None);
        // An address is no name, and a comment is none either.
        assert!(!has_name(b"box other\n# 1.2.3.4 box\n\n", "box"));
        assert!(has_name(b"\xff\xfe x\n1.2.3.4\t y box", "box"));
    }

    #[test]
    fn of_a_resolver_only_what_is_about_names_is_taken_over() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        fs::write(
            &file,
            "# made\nnameserver 192.0.2.1\nroot:$y$secret:1::\n\nsearch a",
        )
        .unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let kept = "# made\nnameserver 192.0.2.1\n\nsearch a\n";
        assert_eq!(lines(&link, OFlags::empty()).as_deref(), Some(kept));
        assert_eq!(upstream(&link), None);
        fs::write(&file, "#".repeat(20_000)).unwrap();
        assert_eq!(lines(&file, OFlags::empty()), None);
        let pipe = place.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(lines(&pipe, OFlags::empty()), None);
    }

    #[test]
    fn the_hosts_resolver_is_taken_where_a_network_has_none_of_its_own() {
        let host = lines(Path::new(RESOLVER), OFlags::empty());
        assert_eq!(resolver(""), host);
        assert_eq!(resolver("no-such-namespace"), host);
        assert_eq!(resolver("/proc/self/ns/net"), host);
    }

    #[test]
    fn servers_of_the_hosts_loopback_interface_are_left_out() {
        let stub = "# made\nnameserver 127.0.0.53\noptions edns0\n";
        let upstream = || Some("nameserver 192.0.2.1\nnameserver ::1\n".to_owned());
        assert_eq!(reachable(stub, upstream), "nameserver 192.0.2.1\n");
        assert_eq!(reachable(stub, || None), "# made\noptions edns0\n");
        let mixed = "nameserver 127.0.0.1\nnameserver 198.51.100.7\nsearch a";
        assert_eq!(
            reachable(mixed, upstream),
            "nameserver 198.51.100.7\nsearch a\n"
        );
    }

    #[test]
    fn a_document_may_keep_the_layers_files() {
        let document = |json| serde_json::from_value::<Container>(json).unwrap();
        let own = document(serde_json::json!({ "GuestOs": { "KeepNameFiles": true } }));
        assert_eq!(check(&own, "box"), None);
        let usual = check(&Container::default(), "box").unwrap();
        assert!(usual.hostname == "box" && usual.follows, "{usual:?}");
    }

    #[test]
    fn servers_domains_and_names_of_the_document_are_used() {
        let networking = |json| serde_json::from_value::<Networking>(json).unwrap();
        let host = || {
            Some("# made\nnameserver 192.0.2.1\nsearch host.example\noptions edns0\n".to_owned())
        };
        let servers =
            networking(serde_json::json!({ "DnsServerList": ["198.51.100.7", "fd00::1"] }));
        assert_eq!(
            asked_for(&servers, host).as_deref(),
            Some(
                "search host.example\noptions edns0\nnameserver 198.51.100.7\nnameserver fd00::1\n"
            )
        );
        let domains = networking(serde_json::json!({ "DnsSearchList": "a.example, b.example" }));
        assert_eq!(
            asked_for(&domains, host).as_deref(),
            Some("nameserver 192.0.2.1\noptions edns0\nsearch a.example b.example\n")
        );
        assert_eq!(
            asked_for(&domains, || None).as_deref(),
            Some("search a.example b.example\n")
        );
        assert_eq!(asked_for(&Networking::default(), host), host());

        let container = serde_json::json!({ "Networking": {
            "HostEntries": [{ "Name": "up", "Address": "192.0.2.9" }], "DnsServerList": ["192.0.2.8"],
        }});
        let spec = check(&serde_json::from_value(container).unwrap(), "box").unwrap();
        assert_eq!(spec.hosts, "192.0.2.9\tup\n");
        assert!(spec.follows && spec.resolver.unwrap().ends_with("nameserver 192.0.2.8\n"));
        let text = completed(b"::1 localhost box", "box", &spec.hosts).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "::1 localhost box\n192.0.2.9\tup\n"
        );
    }
}
