//! What is done with layers, killed at each call to the file system.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    slice,
};

use hcs_storage::layer::{
    Marks, Options, destroy, export_to_folder, import_from, remove, writable,
};
use rustix::process::geteuid;

use crate::everywhere;

const ACTION: &str = "HCS_STORAGE_TEST_ACTION";
const PLACE: &str = "HCS_STORAGE_TEST_PLACE";
const NAME: &str = "layer_kills::the_action_that_is_killed";

/// Directories of a test: a base layer, one above it, and a folder for exports.
struct Place {
    directory: PathBuf,
    base: PathBuf,
    top: PathBuf,
    out: PathBuf,
}

impl Place {
    fn at(directory: &Path) -> Self {
        let [base, top, out] = ["base", "top", "out"].map(|name| directory.join(name));
        Self {
            directory: directory.to_owned(),
            base,
            top,
            out,
        }
    }

    fn act(&self, action: &str) {
        let (marks, options) = (Marks::of_caller(), Options::of_caller());
        let parents = slice::from_ref(&self.base);
        match action {
            "import" => import_from(&self.base, marks, &self.top, &options),
            "export" => export_to_folder(&self.base, marks, &options, &self.out).map(drop),
            "initialize" => writable::initialize(&self.top, parents),
            "attach" => writable::attach(&self.top, parents),
            "detach" => writable::detach(&self.top),
            "destroy" => destroy(&self.top),
            other => panic!("{other}"),
        }
        .unwrap();
    }

    /// This test binary, which does `action` here and nothing else.
    fn command(&self, action: &str) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", NAME])
            .env(ACTION, action)
            .env(PLACE, &self.directory);
        command
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.directory).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn mounts(&self) -> usize {
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
        text.lines()
            .filter(|line| line.contains(self.directory.to_str().unwrap()))
            .count()
    }
}

#[test]
fn the_action_that_is_killed() {
    if let (Some(place), Ok(action)) = (env::var_os(PLACE), env::var(ACTION)) {
        Place::at(Path::new(&place)).act(&action);
    }
}

fn made() -> (tempfile::TempDir, Place) {
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let place = Place::at(directory.path());
    fs::create_dir_all(place.base.join("a")).unwrap();
    fs::write(place.base.join("a/file"), "text").unwrap();
    fs::hard_link(place.base.join("a/file"), place.base.join("link")).unwrap();
    (directory, place)
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn an_import_and_an_export_are_whole_or_not_there() {
    let (_directory, place) = made();
    let killed = everywhere::kill(&place.command("import"), || {
        if place.top.exists() {
            assert_eq!(fs::read(place.top.join("a/file")).unwrap(), b"text");
            remove(&place.top).unwrap();
        }
        // The next import removes what is left.
        place.act("import");
        assert_eq!(place.names(), set(["base", "top"]));
        remove(&place.top).unwrap();
    });
    assert!(killed > 20, "{killed}");
    fs::create_dir(&place.out).unwrap();
    let killed = everywhere::kill(&place.command("export"), || {
        let there: Vec<_> = fs::read_dir(&place.out).unwrap().collect();
        assert!(there.len() < 2, "{there:?}");
        if !there.is_empty() {
            import_from(
                &place.out,
                Marks::of_caller(),
                &place.top,
                &Options::of_caller(),
            )
            .unwrap();
            assert_eq!(fs::read(place.top.join("a/file")).unwrap(), b"text");
            remove(&place.top).unwrap();
            fs::remove_file(place.out.join("layer.tar")).unwrap();
        }
    });
    assert!(killed > 10, "{killed}");
}

#[test]
fn a_writable_layer_comes_and_goes_as_a_whole() {
    let (_directory, place) = made();
    let killed = everywhere::kill(&place.command("initialize"), || {
        // The next call goes on where the killed one was.
        if writable::Upper::of(&place.top).is_err() {
            place.act("initialize");
        }
        assert_eq!(place.names(), set(["base", "top"]));
        place.act("destroy");
        assert_eq!(place.names(), set(["base"]));
    });
    assert!(killed > 10, "{killed}");
    let initialize = || {
        place.act("initialize");
        for name in ["a", "b"] {
            fs::create_dir(place.top.join("upper").join(name)).unwrap();
            fs::write(place.top.join("upper").join(name).join("file"), "").unwrap();
        }
    };
    initialize();
    let killed = everywhere::kill(&place.command("destroy"), || {
        if place.top.exists() {
            let upper = writable::Upper::of(&place.top).unwrap();
            assert!(upper.path().join("b/file").exists());
            drop(upper);
            place.act("destroy");
        } else {
            // Whatever is done there next removes what is left.
            place.act("initialize");
            place.act("destroy");
        }
        assert_eq!(place.names(), set(["base"]));
        initialize();
    });
    assert!(killed > 10, "{killed}");
}

#[test]
fn a_layer_is_attached_or_not() {
    if !geteuid().is_root() {
        return;
    }
    let (_directory, place) = made();
    place.act("initialize");
    let killed = everywhere::kill(&place.command("attach"), || {
        if place.mounts() == 0 {
            place.act("attach");
        }
        assert_eq!((place.mounts(), place.names()), (1, set(["base", "top"])));
        assert!(place.top.join("a/file").exists());
        place.act("detach");
        assert_eq!(place.mounts(), 0);
    });
    assert!(killed > 10, "{killed}");
    place.act("attach");
    let killed = everywhere::kill(&place.command("detach"), || {
        if place.mounts() == 1 {
            place.act("detach");
        }
        assert_eq!((place.mounts(), place.names()), (0, set(["base", "top"])));
        place.act("attach");
    });
    assert!(killed > 10, "{killed}");
    place.act("detach");
    place.act("destroy");
    assert_eq!(place.names(), set(["base"]));
}
