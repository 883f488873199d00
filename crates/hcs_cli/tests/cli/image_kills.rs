//! `hcs image` killed before each of its calls to the file system. What that leaves, the next command of the store
//! removes.

#[path = "../../../hcs_storage/tests/layers/everywhere.rs"]
mod everywhere;

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::{
    common::{ended, hcs},
    image_pulls::Registry,
    image_runs::Shop,
};

/// Runs `hcs` with `words` at `place`, first to its end, then killed at each of the calls that it made; `after` is
/// called each time. Returns how often it was killed.
fn kill_everywhere(place: &Path, words: &str, after: impl FnMut()) -> usize {
    everywhere::kill(hcs(words.split_whitespace()).current_dir(place), after)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeSet::new();
    };
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// The store `name` can be read, and once a command has cleaned it there is nothing that none of its images needs.
/// Returns the names of its images.
fn check(place: &Path, name: &str) -> BTreeSet<String> {
    let list = || {
        let line = ["image", "list", "--json", "--store", name];
        let said = ended(hcs(line).current_dir(place)).fine();
        serde_json::from_str::<Value>(&said).unwrap()
    };
    let before = list();
    ended(hcs(["image", "prune", "--store", name]).current_dir(place)).fine();
    let images = list();
    let images = images.as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let hex = |value: &Value| text(value).trim_start_matches("sha256:").to_owned();
    let (mut blobs, mut layers, mut named) = <(BTreeSet<_>, BTreeSet<_>, BTreeSet<_>)>::default();
    let store = place.join(name);
    for image in images {
        blobs.extend([hex(&image["Id"]), hex(&image["Manifest"])]);
        for layer in image["Layers"].as_array().unwrap() {
            blobs.insert(hex(&layer["Digest"]));
            let path = text(&layer["Path"]);
            layers.insert(path.rsplit('/').next().unwrap().to_owned());
        }
        named.extend(image["Names"].as_array().unwrap().iter().map(text));
    }
    if store.join("oci/oci-layout").exists() {
        let all = [
            "oci",
            "layers",
            "incoming",
            "leases",
            "use.lock",
            "index.lock",
        ];
        assert!(names(&store).is_subset(&set(all)), "{:?}", names(&store));
        let all = ["oci-layout", "index.json", "index.copy.json", "blobs"];
        let oci = names(&store.join("oci"));
        assert!(oci.is_subset(&set(all)), "{oci:?}, before: {before}");
    }
    assert_eq!(names(&store.join("oci/blobs/sha256")), blobs);
    assert_eq!(names(&store.join("layers")), layers);
    assert_eq!(names(&store.join("incoming")), set([]));
    assert_eq!(names(&store.join("leases")), set([]));
    named
}

/// Removes all images of the store, and asserts that nothing is left of them.
fn empty(place: &Path, name: &str) {
    let images = check(place, name);
    if !images.is_empty() {
        let mut remove = hcs(["image", "remove", "--store", name]);
        ended(remove.args(&images).current_dir(place)).fine();
    }
    assert_eq!(check(place, name), set([]));
    assert_eq!(names(&place.join(name).join("oci/blobs/sha256")), set([]));
}

/// A small image of two files, with a link, and its archives: `root.tar`, `docker.tar` and the folder `layout`.
fn small() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let script = "mkdir -p root/a && echo text > root/a/file && ln root/a/file root/link && tar -C root -cf root.tar . && \
                  $HCS image import --store made root.tar small && \
                  $HCS image save --store made --format docker --output docker.tar small && \
                  $HCS image save --store made --format directory --output layout small";
    ended(crate::common::shell(script).current_dir(place.path())).fine();
    place
}

#[test]
fn an_import_and_a_load_leave_nothing_wherever_they_are_killed() {
    let place = small();
    let path = place.path();
    for words in [
        "image import --store store root.tar small",
        "image import --store store root small",
        "image load --store store docker.tar",
        "image load --store store layout",
    ] {
        let mut there = 0;
        let killed = kill_everywhere(path, words, || {
            let images = check(path, "store");
            if !images.is_empty() {
                assert_eq!(images, set(["small:latest"]));
                there += 1;
                empty(path, "store");
            }
        });
        assert!(killed > 50, "{words}: {killed}");
        // The image is there whole for the last steps, which tell of it, and where fewer calls were left to be made.
        assert!(
            there > 0 && there < killed / 2,
            "{words}: {there} of {killed}"
        );
        empty(path, "store");
    }
    assert_eq!(
        names(path),
        set(["docker.tar", "layout", "made", "root", "root.tar", "store"])
    );
}

#[test]
fn a_save_leaves_nothing_beside_its_file_wherever_it_is_killed() {
    let place = small();
    let path = place.path();
    let expected = |more: &str| {
        let mut all = set(["docker.tar", "layout", "made", "root", "root.tar"]);
        all.insert(more.to_owned());
        all
    };
    for (words, file) in [
        ("image save --store made --output saved small", "saved"),
        (
            "image save --store made --format directory --output folder small",
            "folder",
        ),
    ] {
        let killed = kill_everywhere(path, words, || {
            // A directory that got its name is whole, and another one cannot be made there.
            let whole = path.join(file).is_dir();
            let next = if whole { "second" } else { file };
            let line = words.replace(file, next);
            ended(hcs(line.split_whitespace()).current_dir(path)).fine();
            let _second = fs::remove_dir_all(path.join("second"));
            assert_eq!(names(path), expected(file));
            let line = ["image", "load", "--store", "other", file];
            ended(hcs(line).current_dir(path)).fine();
            fs::remove_dir_all(path.join("other")).unwrap();
            if path.join(file).is_dir() {
                fs::remove_dir_all(path.join(file)).unwrap();
            }
        });
        assert!(killed > 10, "{words}: {killed}");
        let _saved = fs::remove_file(path.join(file));
    }
}

#[test]
fn names_come_and_go_as_a_whole_wherever_a_command_is_killed() {
    let place = small();
    let path = place.path();
    let both = set(["other:latest", "small:latest"]);
    kill_everywhere(path, "image tag --store made small other", || {
        let images = check(path, "made");
        assert!(images.contains("small:latest"), "{images:?}");
        if images == both {
            ended(hcs(["image", "remove", "--store", "made", "other"]).current_dir(path)).fine();
        }
    });
    let tag = || {
        ended(hcs(["image", "tag", "--store", "made", "small", "other"]).current_dir(path)).fine()
    };
    tag();
    kill_everywhere(path, "image remove --store made small other", || {
        let images = check(path, "made");
        assert!(images.is_subset(&both), "{images:?}");
        // The one that is whole again.
        let load = ["image", "load", "--store", "made", "docker.tar"];
        ended(hcs(load).current_dir(path)).fine();
        tag();
    });
    // An image without a name goes in several steps.
    let import = |archive| {
        let line = ["image", "import", "--store", "made", archive, "small"];
        ended(hcs(line).current_dir(path)).fine();
    };
    let more = || ["root.tar", "docker.tar"].map(import);
    more();
    kill_everywhere(path, "image prune --store made", || {
        assert!(check(path, "made").contains("small:latest"));
        more();
    });
    empty(path, "made");
}

#[test]
fn a_pull_leaves_nothing_wherever_it_is_killed() {
    let place = small();
    let path = place.path();
    let shop = Shop::new();
    let registry = Registry::new(shop.path(), false);
    let load = ["image", "load", "--store", "store", "--name", "small"];
    ended(
        hcs(load)
            .arg(path.join("docker.tar"))
            .current_dir(shop.path()),
    )
    .fine();
    registry.take(&shop, "small");
    let words = format!("image pull --quiet --store store {}", registry.image());
    let killed = kill_everywhere(path, &words, || {
        if !check(path, "store").is_empty() {
            empty(path, "store");
        }
    });
    assert!(killed > 50, "{killed}");
    empty(path, "store");
}
