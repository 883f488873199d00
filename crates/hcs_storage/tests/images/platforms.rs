//! Images for several kinds of machines.

use std::path::Path;

use hcs_storage::{
    Refusal, StorageError,
    image::{Loaded, document::Platform},
};
use serde_json::{Value, json};

use crate::make::{LAYER, Layout, config, docker, held, store, tar};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A list with images for `machines`, named as they are.
fn several(layout: &Layout, machines: &[&str]) -> Value {
    let layer = tar(&[("file", b"text")]);
    let images = machines.iter().map(|machine| {
        let mut platform = json!({"os": "linux"});
        for (name, part) in ["architecture", "variant"].iter().zip(machine.split('/')) {
            platform[*name] = json!(part);
        }
        let mut config = config(&[&layer]);
        config["architecture"] = platform["architecture"].clone();
        if let Some(variant) = platform.get("variant") {
            config["variant"] = variant.clone();
        }
        let mut image = layout.image("", &config, &[layout.blob(LAYER, &layer)]);
        image["platform"] = platform;
        image
    });
    let images: Vec<Value> = images.collect();
    let list = json!({"schemaVersion": 2, "manifests": images}).to_string();
    let mut list = layout.blob(INDEX, list.as_bytes());
    list["annotations"] = json!({"org.opencontainers.image.ref.name": "a:1"});
    list
}

fn load(place: &Path, layout: &Layout, machine: &str) -> Result<Vec<Loaded>, StorageError> {
    let machine: Platform = machine.parse().unwrap();
    let store = store(place).for_platform(Some(machine));
    store.load_folder(layout.folder.path(), None)
}

#[test]
fn the_image_that_fits_a_machine_best_is_taken() {
    let layout = Layout::new();
    let all = ["arm/v5", "arm/v6", "arm/v8", "arm64/v8", "s390x"];
    // One list is in another one.
    let inner = several(&layout, &all[2..]);
    let mut list = several(&layout, &all[..2]);
    let both = json!({"schemaVersion": 2, "manifests": [inner, list]}).to_string();
    let annotations = list["annotations"].take();
    list = layout.blob(INDEX, both.as_bytes());
    list["annotations"] = annotations;
    layout.index(&[list]);
    for (machine, expected) in [
        ("linux/arm/v7", "linux/arm/v6"),
        ("linux/arm/v5", "linux/arm/v5"),
        ("linux/arm/v9", "linux/arm/v8"),
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/s390x", "linux/s390x"),
    ] {
        let place = tempfile::tempdir().unwrap();
        load(place.path(), &layout, machine).unwrap();
        let image = store(place.path()).image("a:1").unwrap();
        assert_eq!(image.config.platform().to_string(), expected, "{machine}");
    }
    let place = tempfile::tempdir().unwrap();
    let refused = load(place.path(), &layout, "linux/riscv64").unwrap_err();
    let told = refused.to_string();
    for machine in ["linux/riscv64", "linux/arm/v5", "linux/s390x"] {
        assert!(told.contains(machine), "{told}");
    }
    assert_eq!(held(place.path()), [0, 0, 0]);
}

#[test]
fn an_image_for_another_machine_than_was_asked_for_is_refused() {
    let layer = tar(&[("file", b"text")]);
    let archive = docker("a:1", &[&layer]);
    let layout = Layout::new();
    // The layout says nothing of the machine, but the configuration does.
    let image = layout.image("a:1", &config(&[&layer]), &[layout.blob(LAYER, &layer)]);
    layout.index(&[image]);
    let place = tempfile::tempdir().unwrap();
    let other = store(place.path()).for_platform(Some("linux/s390x".parse().unwrap()));
    for loaded in [
        other.load_archive(&*archive, None),
        other.load_folder(layout.folder.path(), None),
    ] {
        let refused = loaded.unwrap_err();
        let host = Platform::host();
        let own = format!("linux/{}", host.architecture);
        assert!(
            matches!(refused.refusal(), Some(Refusal::NoPlatform { wanted, found })
                if wanted == "linux/s390x" && *found == own),
            "{refused}"
        );
        assert_eq!(held(place.path()), [0, 0, 0]);
    }
    let own = store(place.path()).for_platform(Some(Platform::host()));
    own.load_archive(&*archive, None).unwrap();
}
