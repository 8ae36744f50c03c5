//! Keys are backed up and put back.

use serde_json::{Value, json};
use writ_crypto::{SecretBytes, named::KeyType};
use writ_kernel::Result;
use writ_keys::{Change, KeyName, NewKey, Place, Which};
use writ_store::{on_both, testing::TestDb};
use writ_testkit::Someone;

use crate::stage::Stage;

fn dev() -> Place {
    Place::native(Some("dev".to_owned()))
}

fn named(name: &str) -> KeyName {
    name.parse().unwrap()
}

fn which(name: &str) -> Which {
    Which::Named(dev(), named(name))
}

/// Makes a key with two versions, and backs it up.
async fn backed_up(stage: &Stage) -> Value {
    let loose = NewKey {
        exportable: true,
        backupable: true,
        ..NewKey::new(dev(), named("loose"), KeyType::Aes256Gcm)
    };
    stage.room.create(&stage.keeper.caller, loose).await.unwrap();
    stage.room.rotate(&stage.keeper.caller, &which("loose")).await.unwrap();
    let (backup, _) = stage.room.back_up(&stage.keeper.caller, &which("loose")).await.unwrap();
    serde_json::from_slice(backup.expose()).unwrap()
}

async fn restore(stage: &Stage, who: &Someone, name: &str, document: &Value, replace: bool) -> Result<u32> {
    let backup = SecretBytes::new(document.to_string().into_bytes());
    let restored = stage.room.restore(&who.caller, &dev(), Some(named(name)), &backup, replace).await;
    restored.map(|(key, _)| key.latest_version)
}

on_both! {
    async fn a_key_comes_back_with_all_its_versions(db: &TestDb) {
        let stage = Stage::over(db).await;
        let document = backed_up(&stage).await;
        assert_eq!(restore(&stage, &stage.keeper, "again", &document, false).await.unwrap(), 2);
        let (key, _) = stage.room.rotate(&stage.keeper.caller, &which("again")).await.unwrap();
        assert_eq!(key.latest_version, 3);
    }

    async fn a_backup_that_no_key_can_have_is_refused(db: &TestDb) {
        let stage = Stage::over(db).await;
        let document = backed_up(&stage).await;
        let crafted = |change: &dyn Fn(&mut Value)| {
            let mut crafted = document.clone();
            change(&mut crafted);
            crafted
        };
        for (what, crafted) in [
            ("a gap", crafted(&|it| {
                it["versions"][1]["version"] = json!(u32::MAX);
                it["latest_version"] = json!(u32::MAX);
            })),
            ("the last numbers", crafted(&|it| {
                it["versions"][0]["version"] = json!(u32::MAX - 1);
                it["versions"][1]["version"] = json!(u32::MAX);
                it["latest_version"] = json!(u32::MAX);
                it["min_decryption_version"] = json!(u32::MAX);
            })),
            ("from nought", crafted(&|it| {
                it["versions"][0]["version"] = json!(0);
                it["versions"][1]["version"] = json!(1);
                it["latest_version"] = json!(1);
            })),
            ("no versions", crafted(&|it| it["versions"] = json!([]))),
            ("a newer one", crafted(&|it| it["latest_version"] = json!(3))),
            ("a minimum beyond", crafted(&|it| it["min_decryption_version"] = json!(3))),
            ("a minimum that does not decrypt", crafted(&|it| {
                it["min_decryption_version"] = json!(2);
                it["min_encryption_version"] = json!(1);
            })),
            ("another type", crafted(&|it| it["key_type"] = json!("ed25519"))),
            ("convergence alone", crafted(&|it| it["convergent"] = json!(true))),
        ] {
            let refused = restore(&stage, &stage.keeper, "again", &crafted, false).await.unwrap_err();
            assert_eq!(refused.code(), "malformed_backup", "{what}");
        }
    }

    async fn a_key_is_replaced_only_if_it_may_be_destroyed(db: &TestDb) {
        let stage = Stage::over(db).await;
        let document = backed_up(&stage).await;
        let code = async |who: &Someone, replace: bool| {
            restore(&stage, who, "loose", &document, replace).await.map_err(|error| error.code())
        };
        assert_eq!(code(&stage.keeper, false).await, Err("key_name_conflict"));
        assert_eq!(code(&stage.keeper, true).await, Err("key_not_deletable"));
        let deletable = Change { deletable: Some(true), ..Change::default() };
        stage.room.update(&stage.keeper.caller, &which("loose"), deletable).await.unwrap();
        assert_eq!(code(&stage.ann, true).await, Err("forbidden"));
        assert_eq!(stage.said("vault.keys.delete allow").await, 0);
        assert_eq!(code(&stage.keeper, true).await, Ok(2));
        assert_eq!(stage.said("vault.keys.delete allow").await, 1);
    }
}
