//! The house stands, on both engines.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod guides;

use writ_store::{on_both, testing::TestDb};
use writ_testkit::House;

on_both! {
    async fn people_have_the_roles_they_were_given_in_their_own_tenant(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let ann = house.person(&admin, "ann", &["auditor", "viewer"]).await;
        let mut roles: Vec<_> = ann.caller.roles.iter().map(|role| role.name.to_string()).collect();
        roles.sort();
        assert_eq!(roles, ["auditor", "viewer"]);
        assert_eq!(ann.tenant(), admin.tenant());
        assert_ne!(admin.tenant(), house.root.tenant());
    }

    async fn an_app_answers_who_asks(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let app = house.app([writ_identity::routes(writ_identity::Identity::new(house.gate.clone()))]);
        assert_eq!(app.get(&admin, "/api/v1/people").await.status, 200);
        let nobody = app.ask(None, http::Method::GET, "/api/v1/people", axum::body::Body::empty()).await;
        assert_eq!(nobody.status, 401);
    }
}
