"""Who pays, and behind whose wall."""

from sema_common.billing.accounts import billing_account_for, tenant_for
from sema_common.values.ids import new_id


def test_an_agents_customer_is_paid_for_by_the_agent_and_stands_behind_its_wall() -> None:
    account, agent = new_id(), new_id()
    assert billing_account_for(account, agent) == tenant_for(account, agent) == agent
    assert billing_account_for(account, None) == tenant_for(account, None) == account
