//! Resource limits (`getrlimit(2)`): those of pid 1, which are what a service of the machine would have.

use std::fs;

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Open files are an exception: inits raise their own. Programs that close every descriptor they may have take ages
/// with a high soft limit; the hard one is for those that know what they do. `packaging/systemd` has the same.
const OPEN_FILES: Rlimit = Rlimit {
    current: Some(1024),
    maximum: Some(1 << 20),
};

/// As `/proc/PID/limits` calls them.
const NAMES: [(&str, Resource); 16] = [
    ("Max cpu time", Resource::Cpu),
    ("Max file size", Resource::Fsize),
    ("Max data size", Resource::Data),
    ("Max stack size", Resource::Stack),
    ("Max core file size", Resource::Core),
    ("Max resident set", Resource::Rss),
    ("Max processes", Resource::Nproc),
    ("Max open files", Resource::Nofile),
    ("Max locked memory", Resource::Memlock),
    ("Max address space", Resource::As),
    ("Max file locks", Resource::Locks),
    ("Max pending signals", Resource::Sigpending),
    ("Max msgqueue size", Resource::Msgqueue),
    ("Max nice priority", Resource::Nice),
    ("Max realtime priority", Resource::Rtprio),
    ("Max realtime timeout", Resource::Rttime),
];

/// Sets all of them, as far as this process may.
pub(super) fn renew() {
    for (resource, wanted) in wanted() {
        let _lower = raise(resource, wanted);
    }
}

/// Sets one; without the right to raise the hard limit, the soft one as far as that goes.
fn raise(resource: Resource, wanted: Rlimit) -> Result<(), Errno> {
    let Err(refused) = setrlimit(resource, wanted) else {
        return Ok(());
    };
    let maximum = getrlimit(resource).maximum;
    let lower = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let possible = Rlimit {
        current: lower(wanted.current, maximum),
        maximum,
    };
    setrlimit(resource, possible).and(Err(refused))
}

/// What a service needs: the limit, what it is of, its letter for `ulimit`, and the least that is of use to other
/// clients than the one that has started the service.
const LEAST: [(Resource, &str, char, u64); 5] = [
    (Resource::Nofile, "files open", 'n', 1024),
    (Resource::Fsize, "bytes in a file", 'f', 1 << 30),
    (Resource::Cpu, "seconds of processor time", 't', 60),
    (Resource::As, "bytes of addresses", 'v', 1 << 30),
    (Resource::Data, "bytes of data", 'd', 1 << 30),
];

/// A limit that is too low for a service, and stays so.
pub(super) struct TooLow {
    /// The most it allows.
    pub(super) most: u64,
    /// Of what.
    pub(super) of: &'static str,
    /// By which `ulimit` knows it.
    pub(super) letter: char,
    /// What it should allow.
    pub(super) least: u64,
}

/// The first limit of this process that is too low for a service, whatever the process does.
pub(super) fn too_low() -> Option<TooLow> {
    first_too_low(|resource| getrlimit(resource).maximum)
}

fn first_too_low(maximum: impl Fn(Resource) -> Option<u64>) -> Option<TooLow> {
    LEAST.iter().find_map(|&(resource, of, letter, least)| {
        let most = maximum(resource).filter(|most| *most < least)?;
        Some(TooLow {
            most,
            of,
            letter,
            least,
        })
    })
}

/// The limits that are below what they should be, in words.
pub(super) fn lower() -> Vec<String> {
    let below = |own: Option<u64>, wanted: Option<u64>| match (own, wanted) {
        (Some(own), Some(wanted)) => own < wanted,
        (Some(_), None) => true,
        (None, _) => false,
    };
    let wanted = wanted().into_iter();
    let lower =
        wanted.filter(|(resource, wanted)| below(getrlimit(*resource).maximum, wanted.maximum));
    lower
        .map(|(resource, wanted)| {
            let named = NAMES.iter().find(|(_, known)| *known == resource);
            let name = named.map_or("", |(name, _)| name.trim_start_matches("Max "));
            let text = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |n| n.to_string());
            let own = text(getrlimit(resource).maximum);
            format!("{name}: {own} instead of {}", text(wanted.maximum))
        })
        .collect()
}

fn wanted() -> Vec<(Resource, Rlimit)> {
    let of_init = parse(&fs::read_to_string("/proc/1/limits").unwrap_or_default());
    let most = fs::read_to_string("/proc/sys/fs/nr_open").ok();
    let most = most.and_then(|text| text.trim().parse::<u64>().ok());
    let maximum = OPEN_FILES.maximum.min(most.or(OPEN_FILES.maximum));
    let open_files = Rlimit {
        maximum,
        ..OPEN_FILES
    };
    let others = of_init
        .into_iter()
        .filter(|(resource, _)| *resource != Resource::Nofile);
    others.chain([(Resource::Nofile, open_files)]).collect()
}

/// The limits in the text of `/proc/PID/limits` (`proc_pid_limits(5)`).
fn parse(text: &str) -> Vec<(Resource, Rlimit)> {
    let number = |text: &str| match text {
        "unlimited" => Some(None),
        text => text.parse().ok().map(Some),
    };
    let limit = |line: &str| {
        let (name, resource) = NAMES.iter().find(|(name, _)| line.starts_with(name))?;
        let mut fields = line[name.len()..].split_whitespace();
        let (current, maximum) = (number(fields.next()?)?, number(fields.next()?)?);
        Some((*resource, Rlimit { current, maximum }))
    };
    text.lines().filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_would_end_a_service_are_too_low() {
        let with = |limited: Resource, maximum: u64| {
            first_too_low(|resource| (resource == limited).then_some(maximum))
        };
        for (resource, _, letter, least) in LEAST {
            let found = with(resource, least - 1).unwrap();
            assert_eq!((found.letter, found.most), (letter, least - 1));
            assert!(with(resource, least).is_none());
        }
        assert!(first_too_low(|_| None).is_none());
    }

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max stack size            8388608              unlimited            bytes     \n\
                    Max nice priority         0                    7                    \n\
                    Max of something new      1                    2                    bytes\n";
        let limit = |current, maximum| Rlimit { current, maximum };
        let expected = [
            (Resource::Cpu, limit(None, None)),
            (Resource::Stack, limit(Some(8_388_608), None)),
            (Resource::Nice, limit(Some(0), Some(7))),
        ];
        assert_eq!(parse(text), expected);
        let own = fs::read_to_string("/proc/self/limits").unwrap();
        for (resource, limit) in parse(&own) {
            assert_eq!(getrlimit(resource), limit, "{resource:?}");
        }
        assert_eq!(parse(&own).len(), NAMES.len());
    }
}
