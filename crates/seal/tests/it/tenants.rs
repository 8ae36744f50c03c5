//! Every tenant has keys of its own.

use writ_crypto::Aad;
use writ_kernel::Kind;
use writ_seal::Protection;
use writ_store::{on_both, testing::TestDb};

use crate::{Vault, opened, sealed};

on_both! {
    async fn one_tenants_keys_do_not_open_anothers_value(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let (a, b) = (vault.tenant().await, vault.tenant().await);
        let value = sealed(&vault.seal, db, a, "of a").await;
        opened(&vault.seal, db, a, &value).await.unwrap();
        assert!(opened(&vault.seal, db, b, &value).await.is_err());
    }

    async fn a_value_opens_only_in_the_cell_it_was_sealed_for(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let (a, world) = (vault.tenant().await, db.time.world());
        let keys = vault.seal.tenant(&mut db.db.read(a).await.unwrap()).await.unwrap();
        let home = Aad::cell(a, "deployments", b"1", "variables", 1);
        let value = keys.seal(&world, &home, b"at home");
        assert_eq!(keys.open(&home, &value).unwrap().expose(), b"at home");
        for elsewhere in [
            Aad::cell(a, "deployments", b"1", "plan", 1),
            Aad::cell(a, "deployments", b"2", "variables", 1),
            Aad::cell(a, "deployments", b"1", "variables", 2),
            Aad::cell(a, "connections", b"1", "variables", 1),
            Aad::cell(world.id(), "deployments", b"1", "variables", 1),
        ] {
            assert!(keys.open(&elsewhere, &value).is_err());
        }
    }

    async fn a_value_that_was_altered_does_not_open(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let a = vault.tenant().await;
        let value = sealed(&vault.seal, db, a, "whole").await;
        for at in [0, value.len() / 2, value.len() - 1] {
            let mut altered = value.clone();
            altered[at] ^= 1;
            assert!(opened(&vault.seal, db, a, &altered).await.is_err(), "byte {at}");
        }
        assert!(opened(&vault.seal, db, a, &value[..value.len() - 1]).await.is_err());
        assert!(opened(&vault.seal, db, a, b"").await.is_err());
    }

    async fn a_tenant_without_keys_is_nobody(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let stranger = db.db.world().id();
        let error = vault.seal.tenant(&mut db.db.read(stranger).await.unwrap()).await.err().unwrap();
        assert_eq!((error.kind(), error.code()), (Kind::Unauthenticated, "unknown_tenant"));
    }

    async fn a_tenant_has_one_set_of_keys(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let a = vault.tenant().await;
        let value = sealed(&vault.seal, db, a, "first").await;
        let mut tx = db.db.tx(a).await.unwrap();
        assert_eq!(vault.seal.create_tenant(&mut tx).await.unwrap_err().kind(), Kind::Conflict);
        drop(tx);
        assert_eq!(opened(&vault.seal, db, a, &value).await.unwrap().expose(), b"first");
    }

    async fn a_wrapped_key_opens_for_its_tenant_and_its_context_only(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let (a, b, world) = (vault.tenant().await, vault.tenant().await, db.time.world());
        let of_a = vault.seal.tenant(&mut db.db.read(a).await.unwrap()).await.unwrap();
        let of_b = vault.seal.tenant(&mut db.db.read(b).await.unwrap()).await.unwrap();
        let key = writ_crypto::SecretKey::generate(&world);
        let wrapped = of_a.wrap(&world, b"here", &key).unwrap();
        assert_eq!(of_a.unwrap(b"here", &wrapped).unwrap().expose(), key.expose());
        assert!(of_a.unwrap(b"there", &wrapped).is_err());
        assert!(of_b.unwrap(b"here", &wrapped).is_err());
    }
}
