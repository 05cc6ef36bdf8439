-- What credit notes took off paid invoices, as negative items in the shape of revenue_items: without what they gave back
-- by refunds, which are items of revenue_refunds. Before its invoice was paid there was nothing to take off.
WITH notes AS (
    SELECT
        credit_notes.*,
        credit_notes.total - coalesce(list_sum([
            each.amount_refunded
            FOR each IN from_json(credit_notes.refunds, '[{"refund": "VARCHAR", "amount_refunded": "BIGINT"}]')
            -- Others are of payments outside of Stripe, which are no items.
            IF each.refund IS NOT NULL
        ]), 0)::BIGINT AS credited,
        (invoices.status_transitions ->> '$.paid_at')::BIGINT AS paid_at
    FROM credit_notes
    JOIN invoices ON invoices.id = credit_notes.invoice
    WHERE credit_notes.status = 'issued' AND invoices.status = 'paid'
),
split AS (
    SELECT
        *,
        lower(currency) AS spelled,
        CASE WHEN total > 0 THEN divided(credited::HUGEINT * coalesce(total_excluding_tax, total), total) ELSE credited END
            AS without_tax
    FROM notes
    WHERE credited <> 0
)
SELECT
    id AS item_id, 'credit_note' AS kind, invoice AS invoice_id, NULL::VARCHAR AS charge_id, customer AS customer_id,
    NULL::VARCHAR AS subscription_id, NULL::VARCHAR AS product_id, NULL::VARCHAR AS price_id, reason AS description,
    NULL::BIGINT AS quantity, false AS is_recurring, false AS is_proration, spelled AS currency,
    money(-without_tax, spelled) AS gross,
    NULL::DECIMAL(38, 3) AS discount,
    money(-without_tax, spelled) AS amount,
    money(without_tax - credited, spelled) AS tax,
    money(-credited, spelled) AS total,
    NULL::TIMESTAMPTZ AS period_start,
    NULL::TIMESTAMPTZ AS period_end,
    to_timestamp(greatest(coalesce(effective_at, created), paid_at)) AS recognized_at
FROM split
