//! `-object` for a throttle group: limits that all disks share.

use serde_json::json;

use super::Switch;
use crate::storage::{GROUP, StorageLimits};

pub(super) struct ThrottleGroup(pub(super) StorageLimits);

impl Switch for ThrottleGroup {
    fn words(&self) -> Vec<String> {
        let object = json!({ "qom-type": "throttle-group", "id": GROUP, "limits": self.0.value() });
        vec!["-object".to_owned(), object.to_string()]
    }
}
