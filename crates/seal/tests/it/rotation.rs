//! Replacing the root key while serving.

use std::sync::Arc;

use futures_util::future::join_all;
use writ_kernel::Kind;
use writ_seal::Protection;
use writ_store::{on, on_both, testing::TestDb};

use crate::{SHAMIR, Vault, opened, passphrase, sealed, secret};

/// The versions of the root key that are kept.
async fn versions(db: &TestDb) -> Vec<i64> {
    let mut tx = db.db.system_read().await.unwrap();
    on!(tx, |conn| sqlx::query_scalar::<_, i64>("SELECT version FROM root_keys ORDER BY version")
        .fetch_all(conn))
    .unwrap()
}

on_both! {
    async fn tenants_that_are_open_stay_readable_and_old_root_keys_are_gone(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let (a, b) = (vault.tenant().await, vault.tenant().await);
        let (of_a, of_b) = (sealed(&vault.seal, db, a, "of a").await, sealed(&vault.seal, db, b, "of b").await);
        assert_eq!(vault.seal.rotate_root(None).await.unwrap(), Some(2));
        assert_eq!(versions(db).await, [2]);
        assert_eq!(opened(&vault.seal, db, a, &of_a).await.unwrap().expose(), b"of a");
        let after = vault.tenant().await;
        let seal = vault.restarted();
        seal.unseal(None).await.unwrap();
        assert_eq!(opened(&seal, db, a, &of_a).await.unwrap().expose(), b"of a");
        assert_eq!(opened(&seal, db, b, &of_b).await.unwrap().expose(), b"of b");
        sealed(&seal, db, after, "of a tenant created since").await;
    }

    async fn more_tenants_than_a_page_stay_readable(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let mut tenants = Vec::new();
        for _ in 0..105 {
            tenants.push(vault.tenant().await);
        }
        vault.seal.rotate_root(None).await.unwrap();
        let seal = vault.restarted();
        seal.unseal(None).await.unwrap();
        for tenant in tenants {
            sealed(&seal, db, tenant, "readable").await;
        }
    }

    async fn it_can_be_done_again_and_again(db: &TestDb) {
        let (vault, _) = Vault::new(db, passphrase("correct horse battery")).await;
        let tenant = vault.tenant().await;
        let value = sealed(&vault.seal, db, tenant, "still here").await;
        for version in 2..5 {
            let key = Some(secret("correct horse battery"));
            assert_eq!(vault.seal.rotate_root(key).await.unwrap(), Some(version));
        }
        vault.rekey(passphrase("another horse entirely")).await.unwrap();
        let seal = vault.restarted();
        seal.unseal(Some(secret("another horse entirely"))).await.unwrap();
        assert_eq!(opened(&seal, db, tenant, &value).await.unwrap().expose(), b"still here");
    }

    async fn with_a_wrong_key_nothing_is_lost(db: &TestDb) {
        let (vault, _) = Vault::new(db, passphrase("correct horse battery")).await;
        let tenant = vault.tenant().await;
        let value = sealed(&vault.seal, db, tenant, "still here").await;
        let error = vault.seal.rotate_root(Some(secret("a horse of somebody else"))).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unauthenticated, "wrong_key"));
        assert_eq!(versions(db).await, [1]);
        let seal = vault.restarted();
        seal.unseal(Some(secret("correct horse battery"))).await.unwrap();
        assert_eq!(opened(&seal, db, tenant, &value).await.unwrap().expose(), b"still here");
    }

    async fn it_takes_as_many_shares_as_unsealing(db: &TestDb) {
        let (vault, shares) = Vault::new(db, SHAMIR).await;
        assert_eq!(vault.seal.rotate_root(Some(secret(shares[0].expose()))).await.unwrap(), None);
        assert_eq!(vault.seal.status().await.unwrap().progress, 1);
        assert_eq!(vault.seal.rotate_root(Some(secret(shares[1].expose()))).await.unwrap(), Some(2));
        let seal = vault.restarted();
        seal.unseal(Some(secret(shares[2].expose()))).await.unwrap();
        assert!(!seal.unseal(Some(secret(shares[0].expose()))).await.unwrap().sealed);
    }

    async fn another_server_takes_over_what_opens_by_itself(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let tenant = vault.tenant().await;
        let value = sealed(&vault.seal, db, tenant, "still here").await;
        let other = vault.restarted();
        other.unseal(None).await.unwrap();
        vault.seal.rotate_root(None).await.unwrap();
        // It opens the new root key beside the transaction that meets it, which is told to come again.
        let opened = loop {
            match opened(&other, db, tenant, &value).await {
                Err(error) if error.code() == "contention" => tokio::task::yield_now().await,
                outcome => break outcome,
            }
        };
        assert_eq!(opened.unwrap().expose(), b"still here");
        // It makes tenants under the new root key, too.
        let mut tx = db.db.tx(db.db.world().id()).await.unwrap();
        let fresh = tx.tenant();
        other.create_tenant(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        vault.seal.tenant(&mut db.db.read(fresh).await.unwrap()).await.unwrap();
    }

    async fn another_server_that_people_open_closes(db: &TestDb) {
        let (vault, _) = Vault::new(db, passphrase("correct horse battery")).await;
        let tenant = vault.tenant().await;
        let other = vault.restarted();
        other.unseal(Some(secret("correct horse battery"))).await.unwrap();
        vault.seal.rotate_root(Some(secret("correct horse battery"))).await.unwrap();
        let error = other.tenant(&mut db.db.read(tenant).await.unwrap()).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Sealed);
        assert!(other.is_closed());
        other.unseal(Some(secret("correct horse battery"))).await.unwrap();
        other.tenant(&mut db.db.read(tenant).await.unwrap()).await.unwrap();
    }

    async fn tenants_created_meanwhile_stay_readable(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let seal = Arc::new(vault.restarted());
        seal.unseal(None).await.unwrap();
        let create = || {
            let (seal, database) = (seal.clone(), db.db.clone());
            tokio::spawn(async move {
                let mut tx = database.tx(database.world().id()).await?;
                seal.create_tenant(&mut tx).await?;
                let tenant = tx.tenant();
                tx.commit().await?;
                Ok::<_, writ_kernel::Error>(tenant)
            })
        };
        let rotating = { let seal = seal.clone(); tokio::spawn(async move { seal.rotate_root(None).await }) };
        let created: Vec<_> = join_all((0..20).map(|_| create())).await;
        rotating.await.unwrap().unwrap();
        assert_eq!(versions(db).await, [2]);
        let after = vault.restarted();
        after.unseal(None).await.unwrap();
        for tenant in created {
            match tenant.unwrap() {
                Ok(tenant) => drop(sealed(&after, db, tenant, "readable").await),
                Err(error) => assert_eq!(error.code(), "contention"),
            }
        }
    }

    async fn of_two_rotations_at_once_none_destroys_what_the_other_made(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let tenant = vault.tenant().await;
        let value = sealed(&vault.seal, db, tenant, "still here").await;
        let rotate = || { let seal = vault.seal.clone(); tokio::spawn(async move { seal.rotate_root(None).await }) };
        let outcomes = join_all([rotate(), rotate()]).await;
        assert!(outcomes.iter().any(|outcome| outcome.as_ref().unwrap().is_ok()), "{outcomes:?}");
        let seal = vault.restarted();
        seal.unseal(None).await.unwrap();
        assert_eq!(opened(&seal, db, tenant, &value).await.unwrap().expose(), b"still here");
        opened(&vault.seal, db, tenant, &value).await.unwrap();
        vault.tenant().await;
    }
}
