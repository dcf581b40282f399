import { MoreOutlined, PlusOutlined } from '@ant-design/icons';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { App, Button, Card, Checkbox, Dropdown, Form, Input, Radio, Select, Space, Tag, Typography } from 'antd';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { body } from '../../api/client';
import { deleteMembersUsername, deleteUsersUsername, getTenants, getUsers, patchUsersUsername, postUsers, postUsersUsernamePassword, putMembersUsername, type UserMade, type UserPatch, type UserShown } from '../../api/gen';
import { useMay, useMe } from '../../api/me';
import { EmptyState, Loaded, Moment } from '../../components/basics';
import { DataTable } from '../../components/DataTable';
import { RoleSelect, type MemberRole } from './Members';
import { Facts, FormModal, More, Section, ShownOnce, TypedConfirm, useChange } from './parts';

/** What a user is in which tenant; changed there, whichever tenant the page is in. */
function Memberships({ user }: { user: UserShown }) {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const may = useMay();
  const { modal } = App.useApp();
  const tenants = useQuery({ queryKey: ['tenants', 'names'], enabled: may('tenants:manage'), queryFn: ({ signal }) => body(getTenants({ query: { limit: 500 }, signal, throwOnError: true })) });
  const [place, setPlace] = useState<string>();
  const [role, setRole] = useState<MemberRole>('developer');
  const inside = (tenant: string) => ({ path: { username: user.username }, headers: { 'X-Tenant': tenant }, throwOnError: true as const });
  const set = useChange(({ tenant, as }: { tenant: string; as: MemberRole }) => putMembersUsername({ ...inside(tenant), body: { role: as } }), { told: () => words('action.saved') });
  const remove = useChange((tenant: string) => deleteMembersUsername(inside(tenant)), { told: () => words('action.saved') });
  const ask = (tenant: string) =>
    void modal.confirm({ title: t('users.leaveTitle', { name: user.username, tenant }), content: t('members.removeHint'), okText: words('action.remove'), cancelText: words('action.cancel'), okButtonProps: { danger: true }, onOk: () => remove.mutateAsync(tenant).catch(() => undefined) });
  const free = tenants.data?.items.filter(({ name }) => !user.memberships.some(({ tenant }) => tenant === name)) ?? [];
  return (
    <div style={{ display: 'grid', gap: 8 }}>
      {user.memberships.length === 0 && <Typography.Text type="secondary">{t(user.is_admin ? 'users.everywhere' : 'users.nowhere')}</Typography.Text>}
      {user.memberships.map(({ tenant, role: now }) => (
        <Space key={tenant} wrap>
          <Tag style={{ marginInlineEnd: 0 }}>{tenant}</Tag>
          <RoleSelect label={`${t('members.role')}: ${user.username}, ${tenant}`} value={now} onChange={(as) => set.mutate({ tenant, as })} />
          <Button size="small" type="text" aria-label={`${words('action.remove')} ${user.username}, ${tenant}`} onClick={() => ask(tenant)}>{words('action.remove')}</Button>
        </Space>
      ))}
      {user.kind === 'person' && free.length > 0 && (
        <Space wrap>
          <Select size="small" showSearch style={{ width: 160 }} aria-label={t('users.tenant')} placeholder={t('users.addTo')} value={place} onChange={setPlace} options={free.map(({ name }) => ({ value: name, label: name }))} />
          <RoleSelect label={t('members.role')} value={role} onChange={setRole} />
          <Button size="small" disabled={!place} loading={set.isPending} onClick={() => place && set.mutate({ tenant: place, as: role }, { onSuccess: () => setPlace(undefined) })}>{words('action.add')}</Button>
        </Space>
      )}
    </div>
  );
}

function Details({ user }: { user: UserShown }) {
  const { t } = useTranslation('settings');
  return (
    <Facts
      rows={[
        [t('users.memberships'), <Memberships key="m" user={user} />],
        [t('profile.email'), user.email ?? '–'],
        [t('users.ways'), <Space key="w" wrap size={4}>{user.has_password && <Tag>{t('users.hasPassword')}</Tag>}{user.has_second_factor && <Tag color="success">{t('users.hasFactor')}</Tag>}{user.must_change_password && <Tag color="gold">{t('users.mustChange')}</Tag>}{!user.has_password && <Tag>{t(user.kind === 'service' ? 'users.byKeys' : 'users.elsewhere')}</Tag>}</Space>],
        [t('users.since'), <Moment key="s" at={user.created_at} />],
      ]}
    />
  );
}

type NewUser = { username: string; display_name?: string; email?: string; is_admin?: boolean; way: 'made' | 'external' };

function Add({ onMade, onClose }: { onMade: (made: UserMade) => void; onClose: () => void }) {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const send = async ({ username, display_name, email, is_admin, way }: NewUser) =>
    onMade(await body(postUsers({ body: { username: username.trim(), display_name: display_name?.trim() || null, email: email?.trim() || null, is_admin: is_admin ?? false, is_external: way === 'external' }, throwOnError: true })));
  return (
    <FormModal<NewUser> title={t('users.add')} okText={words('action.add')} width={460} names={['username', 'display_name', 'email']} initial={{ way: 'made' }} onSend={send} onClose={onClose}>
      <Form.Item name="username" label={t('profile.username')} extra={t('users.usernameHint')} rules={[{ required: true, message: t('required') }, { pattern: /^[a-z0-9][a-z0-9._@-]*$/, message: t('badName') }]}><Input autoFocus autoCapitalize="none" autoComplete="off" spellCheck={false} /></Form.Item>
      <Form.Item name="display_name" label={t('profile.displayName')}><Input maxLength={100} autoComplete="off" /></Form.Item>
      <Form.Item name="email" label={t('profile.email')} rules={[{ type: 'email', message: t('profile.badEmail') }]}><Input type="email" autoComplete="off" /></Form.Item>
      <Form.Item name="way" label={t('users.way')}>
        <Radio.Group style={{ display: 'grid', gap: 4 }} options={[{ value: 'made', label: t('users.wayMade') }, { value: 'external', label: t('users.wayExternal') }]} />
      </Form.Item>
      <Form.Item name="is_admin" valuePropName="checked" extra={t('users.adminHint')} style={{ marginBottom: 0 }}><Checkbox>{t('users.isAdmin')}</Checkbox></Form.Item>
    </FormModal>
  );
}

export default function Users() {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const { modal } = App.useApp();
  const { data: me } = useMe();
  const [params, setParams] = useSearchParams();
  const q = params.get('q') ?? '';
  const [isAdding, setAdding] = useState(false);
  const [made, setMade] = useState<UserMade>();
  const [gone, setGone] = useState<UserShown>();
  const query = useInfiniteQuery({
    queryKey: ['users', q],
    queryFn: ({ pageParam, signal }) => body(getUsers({ query: { limit: 100, ...(q ? { q } : {}), ...(pageParam ? { cursor: pageParam } : {}) }, signal, throwOnError: true })),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (before) => before,
  });
  const users = useMemo(() => query.data?.pages.flatMap(({ items }) => items) ?? [], [query.data]);
  const change = useChange(({ user, patch }: { user: UserShown; patch: UserPatch }) => body(patchUsersUsername({ path: { username: user.username }, body: patch, throwOnError: true })), { told: ({ username }) => t('users.changed', { name: username }) });
  const reset = useChange(({ username }: UserShown) => body(postUsersUsernamePassword({ path: { username }, throwOnError: true })), { onDone: (answer) => setMade(answer) });
  const ask = (title: string, content: string, okText: string, onOk: () => Promise<unknown>, danger = true) =>
    void modal.confirm({ title, content, okText, cancelText: words('action.cancel'), okButtonProps: { danger }, onOk: () => onOk().catch(() => undefined) });
  const menu = (user: UserShown) => {
    const name = user.username;
    const isMe = name === me?.user?.username;
    const isPerson = user.kind === 'person';
    return [
      ...(user.state === 'active'
        ? [{ key: 'disable', label: t('users.disable'), disabled: isMe, onClick: () => ask(t('users.disableTitle', { name }), t('users.disableHint'), t('users.disable'), () => change.mutateAsync({ user, patch: { state: 'disabled' } })) }]
        : [{ key: 'enable', label: t('users.enable'), onClick: () => change.mutate({ user, patch: { state: 'active' } }) }]),
      ...(isPerson
        ? [
            user.is_admin
              ? { key: 'admin', label: t('users.unmakeAdmin'), disabled: isMe, onClick: () => ask(t('users.unmakeAdminTitle', { name }), t('users.unmakeAdminHint'), t('users.unmakeAdmin'), () => change.mutateAsync({ user, patch: { is_admin: false } })) }
              : { key: 'admin', label: t('users.makeAdmin'), onClick: () => ask(t('users.makeAdminTitle', { name }), t('users.adminHint'), t('users.makeAdmin'), () => change.mutateAsync({ user, patch: { is_admin: true } }), false) },
            { key: 'reset', label: t('users.reset'), onClick: () => ask(t('users.resetTitle', { name }), t('users.resetHint'), t('users.reset'), () => reset.mutateAsync(user)) },
          ]
        : []),
      { type: 'divider' as const },
      { key: 'delete', danger: true, disabled: isMe, label: words('action.delete'), onClick: () => setGone(user) },
    ];
  };
  const add = <Button type="primary" icon={<PlusOutlined />} onClick={() => setAdding(true)}>{t('users.add')}</Button>;
  return (
    <Section title={t('section.users')} sub={t('users.sub')} extra={add}>
      <Input.Search data-search allowClear aria-label={t('users.search')} placeholder={t('users.search')} defaultValue={q} style={{ maxWidth: 360 }} onSearch={(text) => setParams(text.trim() ? { q: text.trim() } : {}, { replace: true })} />
      <Card size="small" styles={{ body: { padding: 0 } }}>
        <Loaded query={query}>
          {() => (
            <DataTable<UserShown>
              size="small"
              rowKey="id"
              dataSource={users}
              pagination={false}
              scroll={{ x: 760 }}
              locale={{ emptyText: <EmptyState title={t(q ? 'users.noneFound' : 'users.none')} hint={q ? undefined : t('users.noneHint')} /> }}
              expandable={{ expandedRowRender: (user) => <Details user={user} /> }}
              columns={[
                { title: t('members.name'), render: (_, { username, display_name, email, kind }) => <div style={{ minWidth: 140 }}><strong>{username}</strong> {kind === 'service' && <Tag>{t('users.service')}</Tag>}<br /><Typography.Text type="secondary">{[display_name, email].filter(Boolean).join(' · ')}</Typography.Text></div> },
                { title: t('users.state'), width: 180, render: (_, { state, is_admin }) => <Space wrap size={4}><Tag color={state === 'active' ? 'success' : 'default'} style={{ marginInlineEnd: 0 }}>{t(state === 'active' ? 'users.active' : 'users.disabled')}</Tag>{is_admin && <Tag color="blue" style={{ marginInlineEnd: 0 }}>{t('role.admin')}</Tag>}</Space> },
                { title: t('users.memberships'), width: 200, render: (_, { memberships }) => memberships.length ? <Space wrap size={4}>{memberships.slice(0, 3).map(({ tenant, role }) => <Tag key={tenant} style={{ marginInlineEnd: 0 }}>{tenant} · {t(`role.${role}`)}</Tag>)}{memberships.length > 3 && `+${memberships.length - 3}`}</Space> : '–' },
                { title: t('users.seen'), width: 130, render: (_, { last_seen_at }) => last_seen_at ? <Moment at={last_seen_at} isRelative /> : <Typography.Text type="secondary">{words('time.never')}</Typography.Text> },
                {
                  title: <span className="visually-hidden">{t('actions')}</span>,
                  fixed: 'end' as const,
                  width: 56,
                  render: (_, user) => <Dropdown trigger={['click']} menu={{ items: menu(user) }}><Button size="small" type="text" icon={<MoreOutlined />} aria-label={`${words('action.more')}: ${user.username}`} /></Dropdown>,
                },
              ]}
            />
          )}
        </Loaded>
      </Card>
      <More query={query} />
      {isAdding && <Add onMade={setMade} onClose={() => setAdding(false)} />}
      {made && (made.initial_password
        ? <ShownOnce title={t('users.madeTitle', { name: made.username })} label={t('users.password')} text={made.initial_password} warning={t('users.madeWarning')} onClose={() => setMade(undefined)} />
        : null)}
      {gone && <TypedConfirm title={t('users.deleteTitle', { name: gone.username })} what={t('users.deleteHint')} name={gone.username} okText={words('action.delete')} onOk={() => deleteUsersUsername({ path: { username: gone.username }, throwOnError: true })} onClose={() => setGone(undefined)} />}
    </Section>
  );
}
