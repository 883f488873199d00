//! A layer that is unpacked already is not unpacked again: its content has to be that layer all the same.

use hcs_storage::{
    Content, Digest, Refusal, StorageError,
    image::{Name, Store},
};
use serde_json::{Value, json};

use crate::make::{GZIP, LAYER, Layout, config, docker, gzip, held, store, tar};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Takes in an image of one layer with that content, as a pull does.
fn receive(store: &Store, config: &Value, content: &[u8], kind: &str) -> Result<(), StorageError> {
    let incoming = store.receive()?;
    let keep = |text: &[u8]| {
        let (digest, size) = (Digest::of(text), text.len() as u64);
        incoming.keep(Content { digest, size }, text)?;
        Ok::<_, StorageError>(json!({"digest": digest, "size": size}))
    };
    let mut of_config = keep(config.to_string().as_bytes())?;
    of_config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    let mut layer = keep(content)?;
    layer["mediaType"] = json!(kind);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": of_config, "layers": [layer],
    });
    let name: Name = "other:1".parse().unwrap();
    let finished = incoming.finish(MANIFEST, manifest.to_string().as_bytes(), &[name], &[]);
    finished.map(drop)
}

fn is_wrong(taken: &Result<(), StorageError>) -> bool {
    matches!(
        taken,
        Err(StorageError::Refused {
            refusal: Refusal::WrongDigest { .. },
            ..
        })
    )
}

#[test]
fn another_content_for_a_layer_that_is_there_has_to_be_that_layer() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let layer = tar(&[("file", b"text")]);
    let name = "first:1";
    store.load_archive(&*docker(name, &[&layer]), None).unwrap();
    let before = held(place.path());
    // The configurations are others, so that the images are.
    let mut other = config(&[&layer]);
    other["config"]["User"] = json!("other");

    for content in [tar(&[("file", b"lies")]), gzip(b"no archive")] {
        let kind = match content.starts_with(&[0x1f, 0x8b]) {
            true => GZIP,
            false => LAYER,
        };
        assert!(is_wrong(&receive(&store, &other, &content, kind)));
        let layout = Layout::new();
        let blob = layout.blob(kind, &content);
        layout.index(&[layout.image("other:1", &other, &[blob])]);
        let loaded = store.load_folder(layout.folder.path(), None);
        assert!(is_wrong(&loaded.map(drop)));
        assert_eq!(held(place.path()), before, "something is left");
    }
    // As its media type says, or not at all.
    let compressed = gzip(&layer);
    let refused = receive(&store, &other, &compressed, LAYER).unwrap_err();
    let StorageError::Refused { refusal, .. } = refused else {
        panic!("{refused:?}")
    };
    assert!(matches!(refusal, Refusal::OtherCompression { .. }));
    receive(&store, &other, &compressed, GZIP).unwrap();
    assert_eq!(store.images().unwrap().len(), 2);
}
