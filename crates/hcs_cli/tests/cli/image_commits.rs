//! `hcs commit`: images of what containers have written.

use std::fs;

use serde_json::{Value, json};

use crate::{common::unique, image_runs::Shop};

#[test]
fn an_image_has_what_its_container_has_written() {
    let shop = Shop::new();
    let execution = json!({"Cmd": ["sh", "-c", "cat /srv/app/file; cat /new/file; ls /bin/touch; id -u"], "User": "7"});
    shop.configured("app", &execution).fine();
    fs::create_dir(shop.path().join("scratch")).unwrap();
    let id = unique("commit");
    let script = "echo changed > /srv/app/file; mkdir /new; echo new > /new/file; busybox rm /bin/touch; echo ready; exec sleep 1000";
    let words = [
        "run",
        "-d",
        "--store",
        "store",
        "--scratch",
        "scratch",
        "-u",
        "0",
        "--id",
        &id,
        "app",
        "sh",
        "-c",
        script,
    ];
    shop.line(&words).fine();
    shop.script(&format!("$HCS logs -f {id} | {{ read line; echo $line; }}"));
    shop.line(&["pause", &id]).fine();
    assert_eq!(
        shop.line(&["commit", &id, "built"]).fine(),
        "built:latest\n"
    );
    shop.line(&["terminate", &id]).fine();
    let said = shop.hcs("run --store store built");
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "changed\nnew\n7\n"),
        "{said:?}"
    );
    assert!(said.err.contains("/bin/touch"), "{said:?}");
    let about = |name: &str| -> Value {
        let said = shop.hcs(&format!("image inspect --store store {name}"));
        serde_json::from_str(&said.fine()).unwrap()
    };
    let (app, built) = (about("app"), about("built"));
    let (below, above) = (
        app["Layers"].as_array().unwrap(),
        built["Layers"].as_array().unwrap(),
    );
    assert_eq!((below.len(), above.len()), (1, 2));
    assert_eq!(below[0]["DiffId"], above[1]["DiffId"]);
    assert_eq!(app["Config"], built["Config"]);
    let history = shop.hcs("image history --store store built").fine();
    assert!(history.contains(&format!("hcs commit {id}")), "{history}");
    // Other programs see the same.
    shop.script("$HCS image save --store store --format directory --output layout built && \
                 umoci unpack --image layout:built:latest bundle 2>&1 && cat bundle/rootfs/new/file && ! test -e bundle/rootfs/bin/touch");
}

#[test]
fn what_keeps_nothing_cannot_be_committed() {
    let shop = Shop::new();
    let id = unique("commit");
    let create = |options: &str| {
        shop.hcs(&format!("create --id {id} {options}")).fine();
        let said = shop.line(&["commit", &id, "built"]);
        shop.line(&["terminate", &id]).fine();
        assert_eq!((said.code, said.out.as_str()), (Some(125), ""), "{said:?}");
        said.err
    };
    let said = create("--store store --image tools");
    assert!(said.contains("--scratch DIR"), "{said}");
    fs::create_dir(shop.path().join("scratch")).unwrap();
    let said = create("--layer root --scratch scratch");
    assert!(said.contains("is made of no image"), "{said}");
    assert_eq!(
        shop.line(&["commit", "no-such-box", "built"]).code,
        Some(125)
    );
    assert_eq!(
        shop.hcs("image list -q --store store").fine(),
        "tools:latest\n"
    );
}
