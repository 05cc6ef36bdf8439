-- What disputes have taken and given back, in the shape of revenue_items: a negative item where Stripe withdrew the
-- disputed amount, a positive one where it was reinstated. An inquiry, for which nothing was withdrawn, has none.
WITH movements AS (
    SELECT *, unnest(from_json(
        balance_transactions, '[{"id": "VARCHAR", "amount": "BIGINT", "created": "BIGINT"}]'
    )) AS movement
    FROM disputes
),
moved AS (
    SELECT
        movements.id || ':' || movement.id AS item_id,
        CASE WHEN movement.amount < 0 THEN 'dispute' ELSE 'dispute_reversal' END AS kind,
        movements.charge, charges.customer, movements.reason, movement.created,
        lower(movements.currency) AS currency,
        CASE WHEN movement.amount < 0 THEN -movements.amount ELSE movements.amount END AS amount,
        invoices.id AS invoice_id,
        invoices.customer AS invoiced_to,
        invoices.parent ->> '$.subscription_details.subscription' AS subscription_id,
        CASE WHEN invoices.total > 0 THEN
            sign(movement.amount)::BIGINT * divided(
                movements.amount::HUGEINT * coalesce(invoices.total_excluding_tax, invoices.total), invoices.total
            )
        END AS without_tax
    FROM movements
    LEFT JOIN charges ON charges.id = movements.charge
    LEFT JOIN paid_by
        ON paid_by.payment_id = coalesce(movements.payment_intent, charges.payment_intent, movements.charge)
    LEFT JOIN invoices ON invoices.id = paid_by.invoice_id
    WHERE movement.amount <> 0 AND (paid_by.payment_id IS NOT NULL OR (SELECT with_charges FROM chosen))
)
SELECT
    item_id, kind, invoice_id, charge AS charge_id, coalesce(invoiced_to, customer) AS customer_id, subscription_id,
    NULL::VARCHAR AS product_id, NULL::VARCHAR AS price_id, reason AS description, NULL::BIGINT AS quantity,
    false AS is_recurring, false AS is_proration, currency,
    money(coalesce(without_tax, amount), currency) AS gross,
    NULL::DECIMAL(38, 3) AS discount,
    money(coalesce(without_tax, amount), currency) AS amount,
    money(amount - without_tax, currency) AS tax,
    money(amount, currency) AS total,
    NULL::TIMESTAMPTZ AS period_start,
    NULL::TIMESTAMPTZ AS period_end,
    to_timestamp(created) AS recognized_at
FROM moved
