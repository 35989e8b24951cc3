"""Who pays. Every movement of money is on the billing account, whoever asked for the message."""

from uuid import UUID


def billing_account_for(account_id: UUID, agent_id: UUID | None) -> UUID:
    """The account that pays for `account_id`: its agent where it has one, else itself (one level only).

    Decided once, when the account is made, and kept in `core.accounts.billing_account_id`; everything
    later reads that column, so agents' customers need no special case anywhere.
    """
    return agent_id or account_id


def tenant_for(account_id: UUID, agent_id: UUID | None) -> UUID:
    """The tenant whose wall `account_id` stands behind: the agent's, or its own."""
    return agent_id or account_id
