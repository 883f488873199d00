//! Images, in a store of the test's own. No service is needed for them.

use std::{fs, path::Path, process::Stdio};

use serde_json::Value;

use crate::common::{ended, hcs, shell, with_input};

/// Runs `hcs image ACTION --store STORE` with further words.
fn image(place: &Path, words: &str) -> crate::common::Ended {
    let (action, rest) = words.split_once(' ').unwrap_or((words, ""));
    let line = format!("image {action} --store store {rest}");
    ended(hcs(line.split_whitespace()).current_dir(place))
}

/// A place with the image `tools:latest` in its store, which has one file.
fn made() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let script = "mkdir root && echo text > root/file && tar -C root -c . | \
                  $HCS image import --store store - tools";
    let said = ended(shell(script).current_dir(place.path())).fine();
    assert_eq!(said, "tools:latest\n");
    place
}

#[test]
fn an_image_is_saved_loaded_named_and_removed() {
    let place = made();
    let path = place.path();
    for (format, file) in [("oci", "a"), ("docker", "b"), ("directory", "c")] {
        image(
            path,
            &format!("save --format {format} --output {file} tools"),
        )
        .fine();
        let loaded = image(path, &format!("load --name {file}:1 {file}")).fine();
        assert_eq!(loaded, format!("{file}:1\n"));
    }
    image(path, "tag a:1 d").fine();
    let names = image(path, "list -q").fine();
    assert_eq!(names, "a:1\nb:1\nc:1\nd:latest\ntools:latest\n");
    let about: Value = serde_json::from_str(&image(path, "inspect d").fine()).unwrap();
    let layer = Path::new(about["Layers"][0]["Path"].as_str().unwrap());
    assert!(layer.is_absolute());
    assert_eq!(fs::read(layer.join("file")).unwrap(), b"text\n");
    let list: Value = serde_json::from_str(&image(path, "list --json").fine()).unwrap();
    assert_eq!(list[0], about);
    let history = image(path, "history d").fine();
    assert!(history.contains("hcs image import"), "{history}");
    let removed = image(path, "remove a:1 b:1 c:1 d tools").fine();
    assert_eq!(removed, "a:1\nb:1\nc:1\nd:latest\ntools:latest\n");
    assert!(!layer.exists());
    assert_eq!(image(path, "prune").fine(), "0 images, 0 layers\n");
    assert_eq!(
        image(path, "list").fine(),
        "NAME  ID  PLATFORM  SIZE  CREATED\n"
    );
}

#[test]
fn what_is_refused_is_named_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    let load = ["image", "load", "--store", "store"];
    let refused = with_input(hcs(load).current_dir(path), b"no archive".to_vec());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(125), "{said}");
    assert!(
        said.contains("the archive: it is no valid archive"),
        "{said}"
    );
    for (line, text) in [
        ("load /no/such/file", "/no/such/file cannot be read"),
        ("tag tools ../x", "no name of an image"),
        ("save --format directory tools", "no such image"),
        (
            "inspect tools",
            "tools: there is no such image in the store",
        ),
    ] {
        let said = image(path, line);
        assert_eq!((said.code, said.out.as_str()), (Some(125), ""), "{said:?}");
        assert!(said.err.contains(text), "{said:?}");
    }
    assert_eq!(image(path, "list -q").fine(), "");
    for folder in ["layers", "incoming", "oci/blobs/sha256"] {
        let left = fs::read_dir(path.join("store").join(folder)).unwrap();
        assert_eq!(left.count(), 0, "{folder}");
    }
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let place = made();
    let path = place.path();
    fs::write(path.join("a"), "before").unwrap();
    assert_eq!(image(path, "save --output a other").code, Some(125));
    assert_eq!(fs::read(path.join("a")).unwrap(), b"before");
    image(path, "save --output a tools").fine();
    let saved = fs::read(path.join("a")).unwrap();
    let mut stdout = hcs(["image", "save", "--store", "store", "tools"]);
    let output = stdout
        .current_dir(path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.stdout == saved && saved.len() > 1024);
    let names = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["a", "root", "store"]);
}

#[test]
fn an_archive_that_costs_too_much_is_refused() {
    let place = made();
    let path = place.path();
    image(path, "save --output tools.tar tools").fine();
    let script =
        "mkdir big && head -c 3000000 /dev/zero > big/zero && tar -C big -cz . > big.tar.gz";
    ended(shell(script).current_dir(path)).fine();
    for (line, text) in [
        (
            "import --max-size 1M big.tar.gz x",
            "more than 1048576 bytes",
        ),
        ("import --max-files 1 big.tar.gz x", "more than 1 entries"),
        (
            "import --max-time 0.000000001 big.tar.gz x",
            "longer than 1ns",
        ),
        ("load --max-files 2 tools.tar", "more than 2 entries"),
    ] {
        let said = image(path, line);
        assert_eq!((said.code, said.out.as_str()), (Some(125), ""), "{said:?}");
        assert!(said.err.contains(text), "{said:?}");
    }
    assert_eq!(image(path, "list -q").fine(), "tools:latest\n");
    let layers = fs::read_dir(path.join("store/layers")).unwrap();
    assert_eq!(layers.count(), 1);
    image(
        path,
        "import --max-size 4 --max-files 2 --max-time 600 big.tar.gz x",
    )
    .fine();
}

#[test]
fn what_only_reads_makes_no_store() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    assert_eq!(image(path, "list -q").fine(), "");
    assert_eq!(image(path, "list --json").fine(), "[]\n");
    assert_eq!(image(path, "prune").fine(), "0 images, 0 layers\n");
    for line in ["inspect x", "history x", "save x", "tag x y", "remove x"] {
        let said = image(path, line);
        assert_eq!((said.code, said.out.as_str()), (Some(125), ""), "{said:?}");
        assert!(said.err.contains("no store of images in"), "{said:?}");
        assert!(said.err.contains("hcs image load FILE"), "{said:?}");
    }
    assert_eq!(fs::read_dir(path).unwrap().count(), 0);
}

#[test]
fn a_folder_is_imported_as_an_archive_is() {
    let place = made();
    let path = place.path();
    assert_eq!(image(path, "import root folder").fine(), "folder:latest\n");
    let about: Value = serde_json::from_str(&image(path, "inspect folder").fine()).unwrap();
    let layer = Path::new(about["Layers"][0]["Path"].as_str().unwrap());
    assert_eq!(fs::read(layer.join("file")).unwrap(), b"text\n");
    let id = about["Id"].as_str().unwrap();
    let short = image(path, &format!("inspect {}", &id[7..12]));
    assert!(short.err.contains("at least 6 digits"), "{short:?}");
}

#[test]
fn a_damaged_image_is_named_and_can_be_removed() {
    let place = made();
    let path = place.path();
    image(path, "import root good").fine();
    let about: Value = serde_json::from_str(&image(path, "inspect tools").fine()).unwrap();
    let manifest = about["Manifest"].as_str().unwrap().replace("sha256:", "");
    image(path, "tag tools other").fine();
    let script = "echo more > root/more && $HCS image import --store store root more";
    ended(shell(script).current_dir(path)).fine();
    fs::remove_file(path.join("store/oci/blobs/sha256").join(&manifest)).unwrap();
    for action in ["list -q", "prune"] {
        let said = image(path, action);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.err.contains("is damaged in the store"), "{said:?}");
        assert!(said.err.contains("hcs image remove"), "{said:?}");
    }
    assert_eq!(image(path, "list -q").out, "good:latest\nmore:latest\n");
    let said = ended(hcs(["run", "--store", "store", "tools", "true"]).current_dir(path));
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains(&manifest), "{said:?}");
    let removed = image(path, "remove tools other").fine();
    assert_eq!(removed, "tools:latest\nother:latest\n");
    assert_eq!(image(path, "list").err, "");
    let layers = fs::read_dir(path.join("store/layers")).unwrap();
    assert_eq!(layers.count(), 2);
}

#[test]
fn a_list_of_images_that_is_garbled_is_told_and_made_again() {
    let place = made();
    let path = place.path();
    assert_eq!(
        image(path, "repair").fine(),
        "the list of images is whole\n"
    );
    let index = path.join("store/oci/index.json");
    fs::write(&index, "{\"schemaVersion\": 2, \"mani").unwrap();
    for words in [
        "list",
        "inspect tools",
        "tag tools other",
        "remove tools",
        "prune",
        "import root more",
    ] {
        let said = image(path, words);
        assert_eq!(said.code, Some(125), "{said:?}");
        assert!(
            said.err.contains("index.json") && said.err.contains("`hcs image repair`"),
            "{said:?}"
        );
    }
    let said = ended(hcs(["run", "--store", "store", "tools", "true"]).current_dir(path));
    assert!(said.err.contains("`hcs image repair`"), "{said:?}");
    assert_eq!(image(path, "repair").fine(), "tools:latest\n");
    assert_eq!(image(path, "list -q").fine(), "tools:latest\n");
    // Without its copy the list has no names.
    for name in ["index.json", "index.copy.json"] {
        fs::write(path.join("store/oci").join(name), "").unwrap();
    }
    let said = image(path, "repair").fine();
    let id = said.split(' ').next().unwrap();
    assert!(
        id.starts_with("sha256:") && said.contains("hcs image tag"),
        "{said}"
    );
    image(path, &format!("tag {id} tools")).fine();
    assert_eq!(image(path, "list -q").fine(), "tools:latest\n");
}

#[test]
fn what_is_damaged_is_told_by_what_can_be_done_about_it() {
    let place = made();
    let path = place.path();
    let index = path.join("store/oci/index.json");
    let read = || -> Value { serde_json::from_slice(&fs::read(&index).unwrap()).unwrap() };
    let add = |entry: Value| {
        let mut list = read();
        list["manifests"].as_array_mut().unwrap().push(entry);
        fs::write(&index, list.to_string()).unwrap();
    };
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let digest = format!("sha256:{}", "7".repeat(64));
    let named = |name: &str| serde_json::json!({"org.opencontainers.image.ref.name": name});
    add(
        serde_json::json!({"mediaType": kind, "digest": digest, "size": 1, "annotations": named("lost:1")}),
    );
    add(serde_json::json!("no entry"));
    let said = image(path, "list -q");
    assert_eq!(
        (said.code, &*said.out),
        (Some(0), "tools:latest\n"),
        "{said:?}"
    );
    let lines: Vec<&str> = said.err.lines().collect();
    let lost = format!(
        "hcs: lost:1 is damaged in the store: its manifest {digest} is missing; `hcs image pull` or `hcs image load` gets an \
         image again, `hcs image remove lost:1` removes it"
    );
    let nameless = "hcs: an entry without a name is damaged in the store: its entry in the index cannot be read; expected \
                    mediaType, size and a digest of sha256; `hcs image prune` removes it";
    assert_eq!(lines, [&*lost, nameless]);
    let said = image(path, "prune");
    assert_eq!(
        said.err,
        format!("{lost}; until then all is kept that it may need\n")
    );
    // Each of the ways works.
    image(path, "remove lost:1").fine();
    assert_eq!(image(path, "list").err, "");
    add(
        serde_json::json!({"mediaType": kind, "digest": digest, "size": 1, "annotations": named("again:1")}),
    );
    image(path, "import root again:1").fine();
    assert_eq!(image(path, "prune").err, "");
    assert_eq!(image(path, "list -q").fine(), "again:1\ntools:latest\n");
}
