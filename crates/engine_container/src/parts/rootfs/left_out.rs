//! What the default view of the host's files leaves out, found by the service before a container is made.
//!
//! The configuration has patterns ([`crate::HostView`]). Each is followed to what it is on this host, by real paths: a
//! link at `/var/tmp` hides where it leads. A name without `*` is left out also when the host has nothing there yet, so
//! that a file made there later is not seen either.
//!
//! That takes some hundred looks at files, so what was found serves all containers that are made within [`FRESH`]. A
//! container that was made so much earlier would have the same view.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, Metadata},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hcs_schema::{Failure, HResult};
use rustix::{
    fs::{AtFlags, CWD, StatxFlags, statx},
    process::geteuid,
};

use crate::{
    config::EngineConfig,
    parts::own_places::OwnPlaces,
    source::Source,
    spec::{DirectorySpec, LeftOut, TreeSpec, ViewSpec},
    steps,
};

/// JSON pointer of the property that names a tree of the host.
pub(crate) const TREE: &str = "/Container/Storage/HostDirectory";

/// Users that log in have ids from here on.
const FIRST_USER: u32 = 1000;
/// The last id of one, and the one after it is `nobody`.
const LAST_USER: u32 = 65_533;

/// How long what was found is true for further containers.
const FRESH: Duration = Duration::from_secs(1);

/// What is left out of the view that a container without layers has. `tree` is a directory of the host to be shown.
///
/// # Errors
/// The tree is no directory that can be reached.
pub(crate) fn check(
    config: &EngineConfig,
    tree: Option<&str>,
    searches: &Searches,
) -> Result<ViewSpec, Failure> {
    let tree = tree.map(real_directory).transpose()?;
    let in_homes = tree
        .as_ref()
        .is_some_and(|tree| tree.path().starts_with(HOMES));
    finish(&*searches.result(config, in_homes)?, tree.as_ref())
}

/// What is left out of that view below the root, whatever is shown besides.
///
/// # Errors
/// A path that is to be left out has no text.
pub(crate) fn of_root(config: &EngineConfig, searches: &Searches) -> Result<LeftOut, Failure> {
    Ok(searches.result(config, false)?.of_root.clone())
}

/// What an engine has found lately.
#[derive(Debug, Default)]
pub(crate) struct Searches {
    last: Mutex<Option<Arc<Search>>>,
}

/// What was found.
#[derive(Debug)]
struct Search {
    begun: Instant,
    /// Whether the homes in `/home` were looked for.
    in_homes: bool,
    found: BTreeMap<PathBuf, Found>,
    /// What is left out below the root.
    of_root: LeftOut,
}

impl Searches {
    fn result(&self, config: &EngineConfig, in_homes: bool) -> Result<Arc<Search>, Failure> {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let serves =
            |last: &&Arc<Search>| last.in_homes == in_homes && last.begun.elapsed() < FRESH;
        if let Some(found) = last().as_ref().filter(serves) {
            return Ok(Arc::clone(found));
        }
        // Without the lock: a file system that does not answer holds up no other container.
        let found = Arc::new(Search::make(config, in_homes)?);
        *last() = Some(Arc::clone(&found));
        Ok(found)
    }
}

impl Search {
    fn make(config: &EngineConfig, in_homes: bool) -> Result<Self, Failure> {
        let begun = Instant::now();
        let mut finder = Finder::new(config, in_homes);
        for own in config.own_directories() {
            finder.add(own, Strength::Always);
        }
        // What lies in the socket's directory may be anything; the socket is not seen there.
        if let Some(directory) = &config.socket_directory {
            finder.add(directory, Strength::UnlessAsked);
        }
        for other in OwnPlaces::of(config).of_others()? {
            finder.add(&other, Strength::Always);
        }
        for pattern in &config.host_view.hidden {
            finder.add_all(pattern, Strength::Always);
        }
        for pattern in &config.host_view.empty {
            finder.add_all(pattern, Strength::UnlessAsked);
        }
        let of_root = below(&finder.found, Path::new("/"))?;
        Ok(Self {
            begun,
            in_homes,
            found: finder.found,
            of_root,
        })
    }
}

/// Where `path` really leads, which has to be a directory. It is opened once: lists are applied to the path of the very
/// directory that is shown.
fn real_directory(path: &str) -> Result<Source, Failure> {
    let summary = || format!("the directory {path:?} cannot be shown");
    let (source, kind) =
        Source::look_real(path, TREE).map_err(|error| error.into_failure(summary()))?;
    if !kind.is_dir() {
        let why = format!("{path:?} is not a directory");
        return Err(Failure::new(HResult::E_INVALIDARG, summary()).cause_at(TREE, why));
    }
    Ok(source)
}

/// Whether something that is left out is shown nevertheless when a document asks for a tree in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    UnlessAsked,
    Always,
}

/// Something that is left out.
#[derive(Clone, Debug)]
struct Found {
    strength: Strength,
    /// As a directory it stays, empty.
    directory: Option<Metadata>,
}

/// The search for what is left out.
struct Finder {
    homes: Vec<PathBuf>,
    found: BTreeMap<PathBuf, Found>,
    /// Real paths of directories that were looked for.
    real: HashMap<PathBuf, Option<PathBuf>>,
}

impl Finder {
    fn new(config: &EngineConfig, in_homes: bool) -> Self {
        let view = &config.host_view;
        let mut patterns = view.empty.iter().chain(&view.hidden);
        let asks = patterns.any(|pattern| pattern.starts_with('~'));
        Self {
            homes: if asks {
                homes(in_homes, &config.hidden)
            } else {
                Vec::new()
            },
            found: BTreeMap::new(),
            real: HashMap::new(),
        }
    }

    /// Adds what a pattern stands for.
    fn add_all(&mut self, pattern: &str, strength: Strength) {
        match pattern.strip_prefix('~') {
            Some(rest) => {
                for home in self.homes.clone() {
                    self.expand(home, rest.trim_start_matches('/'), strength);
                }
            }
            None => self.expand(
                PathBuf::from("/"),
                pattern.trim_start_matches('/'),
                strength,
            ),
        }
    }

    /// Adds what `rest`, below `path`, stands for.
    fn expand(&mut self, mut path: PathBuf, rest: &str, strength: Strength) {
        let mut parts = rest.split('/').filter(|part| !part.is_empty());
        while let Some(part) = parts.next() {
            if part.contains('*') {
                let after: Vec<&str> = parts.collect();
                let after = after.join("/");
                let entries = fs::read_dir(&path).into_iter().flatten().flatten();
                for entry in entries {
                    let name = entry.file_name();
                    if matches(part.as_bytes(), name.as_bytes()) {
                        self.expand(path.join(name), &after, strength);
                    }
                }
                return;
            }
            path.push(part);
        }
        self.add(&path, strength);
    }

    /// Adds what is at `path`, by its real path.
    fn add(&mut self, path: &Path, strength: Strength) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        // Nothing can be where there is no way to.
        let Some(real) = self.real_of(parent).map(|parent| parent.join(name)) else {
            return;
        };
        match fs::symlink_metadata(&real) {
            Ok(found) if found.is_symlink() => {
                // A link of another user hides nothing that is not in the same directory: that user would decide what
                // others see.
                let trusted = found.uid() == 0 || found.uid() == geteuid().as_raw();
                let beside = |target: &PathBuf| {
                    trusted || real.parent().is_some_and(|own| target.starts_with(own))
                };
                if let Some(target) = fs::canonicalize(&real).ok().filter(beside) {
                    let found = fs::symlink_metadata(&target).ok();
                    self.insert(target, found, strength);
                }
            }
            Ok(found) => self.insert(real, Some(found), strength),
            Err(_) => self.insert(real, None, strength),
        }
    }

    fn insert(&mut self, path: PathBuf, found: Option<Metadata>, strength: Strength) {
        if path == Path::new("/") {
            return;
        }
        let found = Found {
            strength,
            directory: found.filter(Metadata::is_dir),
        };
        let known = self.found.entry(path).or_insert_with(|| found.clone());
        known.strength = known.strength.max(strength);
    }

    fn real_of(&mut self, directory: &Path) -> Option<PathBuf> {
        if let Some(real) = self.real.get(directory) {
            return real.clone();
        }
        let real = fs::canonicalize(directory).ok();
        self.real.insert(directory.to_owned(), real.clone());
        real
    }
}

/// Orders what was found. `tree` is to be shown, by its real path.
fn finish(search: &Search, tree: Option<&Source>) -> Result<ViewSpec, Failure> {
    let mut view = ViewSpec {
        left_out: search.of_root.clone(),
        ..ViewSpec::default()
    };
    let Some(source) = tree else {
        return Ok(view);
    };
    let tree = source.path();
    let above = |path: &&PathBuf| tree.starts_with(path);
    let over: Vec<_> = search
        .found
        .iter()
        .filter(|(path, _)| above(path))
        .collect();
    let closed = over
        .iter()
        .any(|(path, found)| found.strength == Strength::Always || path.as_path() == tree);
    let elsewhere = !over.is_empty() || mount_of(tree) != mount_of(Path::new("/"));
    if elsewhere && tree != Path::new("/") {
        view.places.push(text(tree)?);
    }
    if elsewhere && !closed {
        let left_out = below(&search.found, tree)?;
        view.tree = Some(TreeSpec {
            source: source.clone(),
            left_out,
        });
    }
    if closed {
        let what = "the HostDirectory stays empty, as the configuration of the view says";
        steps::warn(what.to_owned());
    }
    Ok(view)
}

/// What of `found` is left out strictly below `top`, without what is inside of something else that is left out.
fn below(found: &BTreeMap<PathBuf, Found>, top: &Path) -> Result<LeftOut, Failure> {
    let mut left_out = LeftOut {
        parents: vec![directory(top, top)?],
        ..LeftOut::default()
    };
    let mut parents = BTreeMap::new();
    let mut outermost: Option<&Path> = None;
    let inside = found
        .iter()
        .filter(|(path, _)| path.starts_with(top) && path.as_path() != top);
    for (path, found) in inside {
        if outermost.is_some_and(|outer| path.starts_with(outer)) {
            continue;
        }
        outermost = Some(path);
        let mut between = path.parent();
        while let Some(parent) = between.filter(|parent| *parent != top) {
            if parents.contains_key(parent) {
                break;
            }
            parents.insert(parent.to_owned(), directory(parent, top)?);
            between = parent.parent();
        }
        match &found.directory {
            Some(metadata) => left_out.empty.push(described(path, top, metadata)?),
            None => left_out.absent.push(relative(path, top)?),
        }
    }
    left_out.parents.extend(parents.into_values());
    Ok(left_out)
}

/// `*` in `pattern` stands for any bytes.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        Some((first, rest)) => name
            .split_first()
            .is_some_and(|(own, others)| own == first && matches(rest, others)),
    }
}

/// Where homes usually are.
const HOMES: &str = "/home";

/// Homes of people. Those in `/home` are looked for only where `in_homes` says so, since it is empty as a whole.
fn homes(in_homes: bool, own: &[PathBuf]) -> Vec<PathBuf> {
    let mut homes = vec![PathBuf::from("/root")];
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    for user in users.lines() {
        let mut fields = user.split(':').skip(2);
        let id = fields.next().and_then(|id| id.parse::<u32>().ok());
        let person =
            |id| id == 0 || id == geteuid().as_raw() || (FIRST_USER..=LAST_USER).contains(&id);
        if id.is_some_and(person) {
            homes.extend(fields.nth(2).map(PathBuf::from));
        }
    }
    // A service has no HOME in its environment. A user's own has its directories in the home where nothing else was
    // set.
    for path in own {
        let home = path
            .ancestors()
            .find(|home| path.starts_with(home.join(".local/state")));
        homes.extend(home.map(Path::to_owned));
    }
    if in_homes {
        let entries = fs::read_dir(HOMES).into_iter().flatten().flatten();
        homes.extend(entries.map(|entry| entry.path()));
    }
    homes.retain(|home| is_home(home));
    homes.sort();
    homes.dedup();
    homes
}

/// Whether a path can be a user's home: not a directory of the root, nor of the system, that some user was given.
fn is_home(path: &Path) -> bool {
    const OF_THE_SYSTEM: [&str; 10] = [
        "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr",
    ];
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    path.is_absolute()
        && path.components().all(plain)
        && (path == Path::new("/root") || path.components().count() > 2)
        && !OF_THE_SYSTEM.iter().any(|system| path.starts_with(system))
}

/// Which mount a path is on.
fn mount_of(path: &Path) -> Option<u64> {
    let found = statx(CWD, path, AtFlags::NO_AUTOMOUNT, StatxFlags::MNT_ID).ok()?;
    Some(found.stx_mnt_id)
}

fn directory(path: &Path, top: &Path) -> Result<DirectorySpec, Failure> {
    let found = fs::symlink_metadata(path).map_err(|error| {
        let message = format!("{} of the host cannot be looked at", path.display());
        Failure::new(HResult::E_FAIL, message).because(&error)
    })?;
    described(path, top, &found)
}

fn described(path: &Path, top: &Path, found: &Metadata) -> Result<DirectorySpec, Failure> {
    Ok(DirectorySpec {
        path: relative(path, top)?,
        mode: found.permissions().mode() & 0o7777,
        user: inside(found.uid()),
        group: inside(found.gid()),
    })
}

/// The id that the owner `id` of a directory of the host has in the container. In that of an ordinary user's service
/// the user is root, and other ids of the host are none there.
fn inside(id: u32) -> u32 {
    match geteuid().is_root() {
        true => id,
        false => 0,
    }
}

/// `path` as seen from `top`, with a slash at its beginning.
fn relative(path: &Path, top: &Path) -> Result<String, Failure> {
    let below = path.strip_prefix(top).unwrap_or(path);
    Ok(format!("/{}", text(below)?))
}

fn text(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let message = format!(
            "the path {} is not valid UTF-8, so the view of the host's files cannot be made without it; rename it, or \
             name a layer",
            path.display()
        );
        Failure::new(HResult::E_INVALIDARG, message)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{lchown, symlink};

    use super::*;
    use crate::config::HostView;

    /// As for the first container of an engine.
    fn check(config: &EngineConfig, tree: Option<&str>) -> Result<ViewSpec, Failure> {
        super::check(config, tree, &Searches::default())
    }

    #[test]
    fn what_was_found_serves_the_next_containers_and_no_others() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("kept/secrets")).unwrap();
        let config = config(place.path(), &[], &["kept/*"]);
        let searches = Searches::default();
        let hidden = || {
            let view = super::check(&config, None, &searches).unwrap();
            assert_eq!(view.left_out, of_root(&config, &searches).unwrap());
            view.left_out.empty.len()
        };
        assert_eq!(hidden(), 1);
        fs::create_dir(place.path().join("kept/more")).unwrap();
        let found = searches.last.lock().unwrap().clone().unwrap();
        let now = hidden();
        assert!(now == 1 || found.begun.elapsed() >= FRESH, "{now}");
        // A search that is too old, and one for other homes.
        for in_homes in [false, true] {
            let begun = Instant::now()
                .checked_sub(if in_homes { Duration::ZERO } else { FRESH })
                .unwrap();
            *searches.last.lock().unwrap() = Some(Arc::new(Search {
                begun,
                in_homes,
                found: found.found.clone(),
                of_root: found.of_root.clone(),
            }));
            assert_eq!(hidden(), 2, "{in_homes}");
        }
    }

    fn paths(of: &[DirectorySpec]) -> Vec<&str> {
        of.iter().map(|directory| directory.path.as_str()).collect()
    }

    fn config(place: &Path, empty: &[&str], hidden: &[&str]) -> EngineConfig {
        let below = |list: &[&str]| {
            let path = |name: &&str| place.join(name).to_str().unwrap().to_owned();
            list.iter().map(path).collect()
        };
        EngineConfig {
            host_view: HostView {
                empty: below(empty),
                hidden: below(hidden),
            },
            scratch_root: place.join("scratch"),
            ids_in_use: place.join("ids"),
            places: place.join("places"),
            ..EngineConfig::default()
        }
    }

    #[test]
    fn a_link_of_another_user_hides_nothing_elsewhere() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        for name in ["people/me/real", "system"] {
            fs::create_dir_all(place.join(name)).unwrap();
        }
        let home = place.join("people/me");
        symlink("../../system", home.join("outside")).unwrap();
        symlink("real", home.join("inside")).unwrap();
        let config = config(place, &[], &["people/me/outside", "people/me/inside"]);
        let hidden = || paths(&check(&config, None).unwrap().left_out.empty).join(" ");
        let seen = |path: &str| place.join(path).to_str().unwrap().to_owned();
        let both = format!("{} {}", seen("people/me/real"), seen("system"));
        assert_eq!(hidden(), both);
        for link in ["outside", "inside"] {
            lchown(home.join(link), Some(4242), None).unwrap();
        }
        assert_eq!(hidden(), seen("people/me/real"));
    }

    #[test]
    fn patterns_lead_to_what_is_there() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        for name in ["people/me/tree/keys", "other/real"] {
            fs::create_dir_all(place.join(name)).unwrap();
        }
        fs::write(place.join("other/secret-1"), "").unwrap();
        symlink("other/real", place.join("link")).unwrap();
        let config = config(
            place,
            &["people", "people/*", "link"],
            &[
                "other/secret*",
                "other/missing",
                "nowhere/at/all",
                "people/*/tree/keys",
            ],
        );
        let seen = |path: &str| place.join(path).to_str().unwrap().to_owned();
        let view = check(&config, None).unwrap();
        let empty = paths(&view.left_out.empty);
        assert_eq!(empty, [seen("other/real"), seen("people")]);
        let absent = [
            seen("ids"),
            seen("other/missing"),
            seen("other/secret-1"),
            seen("places"),
            seen("scratch"),
        ];
        assert_eq!(view.left_out.absent, absent);
        assert_eq!(view.left_out.parents[0].path, "/");
        assert!(view.tree.is_none() && view.places.is_empty());

        // A tree below what is empty is shown without its secrets; a home is not, nor what is above.
        let work = seen("people/me/tree");
        let view = check(&config, Some(&work)).unwrap();
        assert_eq!(view.places, std::slice::from_ref(&work));
        let tree = view.tree.unwrap();
        assert_eq!(tree.source.path, work);
        assert_eq!(paths(&tree.left_out.empty), ["/keys"]);
        for closed in ["people/me", "people", "people/me/tree/keys", "other/real"] {
            let view = check(&config, Some(&seen(closed))).unwrap();
            assert!(view.tree.is_none(), "{closed}");
            assert_eq!(view.places, [seen(closed)]);
        }
        let view = check(&config, Some("/")).unwrap();
        assert!(view.tree.is_none());
        assert_eq!(
            paths(&view.left_out.empty),
            [seen("other/real"), seen("people")]
        );
        let failure = check(&config, Some(&seen("no"))).unwrap_err();
        assert_eq!(failure.causes[0].pointer.as_deref(), Some(TREE));
    }

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        assert!(matches(b"shadow*", b"shadow"));
        assert!(matches(b"ssh_host_*_key", b"ssh_host_rsa_key"));
        assert!(!matches(b"ssh_host_*_key", b"ssh_host_rsa_key.pub"));
        assert!(!matches(b"a", b"ab"));
    }

    #[test]
    fn a_directory_of_the_system_is_nobodys_home() {
        for home in ["/root", "/home/me", "/var/lib/app"] {
            assert!(is_home(Path::new(home)), "{home}");
        }
        for other in [
            "/",
            "/usr/sbin",
            "/bin",
            "/data",
            "relative",
            "/home/../etc",
        ] {
            assert!(!is_home(Path::new(other)), "{other}");
        }
    }
}
