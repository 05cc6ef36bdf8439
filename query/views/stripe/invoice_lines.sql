-- Every line of every invoice: amounts in the smallest unit, times in seconds.
--
-- An invoice has its first ten lines within it; where there are more, they come from the table invoice_line_items, and
-- an invoice whose other lines are not there is not complete.
WITH inline AS (
    SELECT
        id AS invoice_id,
        unnest(from_json(lines, '{"data": [{
            "id": "VARCHAR", "amount": "BIGINT", "currency": "VARCHAR", "description": "VARCHAR", "quantity": "BIGINT",
            "period": "JSON", "discount_amounts": "JSON", "taxes": "JSON", "parent": "JSON", "pricing": "JSON"
        }]}').data) AS line
    FROM invoices
    WHERE NOT coalesce((lines ->> '$.has_more')::BOOLEAN, false)
        OR id NOT IN (SELECT invoice_id FROM invoice_line_items WHERE invoice_id IS NOT NULL)
),
found AS (
    SELECT
        invoice_id, line.id, line.amount, line.currency, line.description, line.quantity, line.period,
        line.discount_amounts, line.taxes, line.parent, line.pricing
    FROM inline
    UNION ALL
    SELECT
        invoice_id, id, amount, currency, description, quantity, period, discount_amounts, taxes, parent, pricing
    FROM invoice_line_items
    WHERE invoice_id IN (SELECT id FROM invoices WHERE (lines ->> '$.has_more')::BOOLEAN)
)
SELECT
    invoice_id,
    id AS line_id,
    lower(currency) AS currency,
    description,
    quantity,
    coalesce(amount, 0) - taxes_within AS gross,
    coalesce(list_sum((discount_amounts -> '$[*].amount')::BIGINT[]), 0)::BIGINT AS discount,
    coalesce(list_sum((taxes -> '$[*].amount')::BIGINT[]), 0)::BIGINT AS tax,
    (period ->> '$.start')::BIGINT AS period_start,
    (period ->> '$.end')::BIGINT AS period_end,
    pricing ->> '$.price_details.price' AS price_id,
    pricing ->> '$.price_details.product' AS product_id,
    coalesce(
        parent ->> '$.subscription_item_details.subscription',
        parent ->> '$.invoice_item_details.subscription'
    ) AS subscription_id,
    subscription_id IS NOT NULL AND (is_proration OR (parent ->> '$.type') = 'subscription_item_details')
        AS is_recurring,
    is_proration
FROM (
    SELECT
        *,
        coalesce(list_sum([
            tax.amount FOR tax IN from_json(taxes, '[{"amount": "BIGINT", "tax_behavior": "VARCHAR"}]')
            IF tax.tax_behavior = 'inclusive'
        ]), 0)::BIGINT AS taxes_within,
        coalesce(
            (parent ->> '$.subscription_item_details.proration')::BOOLEAN,
            (parent ->> '$.invoice_item_details.proration')::BOOLEAN,
            false
        ) AS is_proration
    FROM found
)
