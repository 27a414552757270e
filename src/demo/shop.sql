-- A small shop, the same on both sides: no default is drawn here, every seed value is computed from its row number.

create table customers (
    id        serial primary key,
    email     text not null unique,
    name      text not null,
    token     uuid not null default gen_random_uuid(),
    joined    timestamptz not null default now(),
    last_seen timestamptz
);

create table products (
    id      integer primary key,
    name    text not null,
    price   numeric(10, 2) not null,
    stock   integer not null,
    views   bigint not null default 0,
    updated timestamptz not null default now()
);

create table orders (
    id          bigserial primary key,
    customer_id integer not null references customers,
    reference   uuid not null default gen_random_uuid(),
    status      text not null default 'new',
    lucky       double precision not null default random(),
    placed      timestamptz not null default clock_timestamp()
);

create table order_items (
    order_id   bigint not null references orders,
    line       integer not null,
    product_id integer not null references products,
    quantity   integer not null,
    price      numeric(10, 2) not null,
    primary key (order_id, line)
);

create table carts (
    customer_id integer not null references customers,
    product_id  integer not null references products,
    quantity    integer not null,
    changed     timestamptz not null default now(),
    primary key (customer_id, product_id)
);

create index on orders (customer_id);

insert into customers (id, email, name, token, joined)
select n, 'customer' || n || '@example.com', 'Customer ' || n, md5(n::text)::uuid,
       timestamptz '2026-01-01 00:00+00' + n * interval '1 minute'
from generate_series(1, 500) n;

insert into products (id, name, price, stock, updated)
select n, 'Product ' || n, 5 + n * 1.25, 1000000, timestamptz '2026-01-01 00:00+00'
from generate_series(1, 40) n;

insert into orders (id, customer_id, reference, status, lucky, placed)
select n, 1 + n % 500, md5('order' || n)::uuid, 'delivered', n / 2000.0,
       timestamptz '2026-01-02 00:00+00' + n * interval '1 minute'
from generate_series(1, 2000) n;

insert into order_items (order_id, line, product_id, quantity, price)
select n, line, 1 + (n + line) % 40, line, 9.99
from generate_series(1, 2000) n, generate_series(1, 2) line;

select setval('customers_id_seq', 500), setval('orders_id_seq', 2000);
analyze;
