import { PlusOutlined } from '@ant-design/icons';
import { useInfiniteQuery } from '@tanstack/react-query';
import { App, Button, Card, Form, Grid, Input, Select, Space, Tag, Typography } from 'antd';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { body } from '../../api/client';
import { deleteMembersUsername, deleteServiceAccountsAccount, getMembers, getServiceAccounts, postServiceAccounts, putMembersUsername, type MemberShown, type ServiceShown } from '../../api/gen';
import { useMay, useMe } from '../../api/me';
import { EmptyState, Loaded, Moment } from '../../components/basics';
import { DataTable } from '../../components/DataTable';
import { FormModal, More, Section, TypedConfirm, useChange } from './parts';

export const ROLES = ['owner', 'developer', 'viewer'] as const;
export type MemberRole = (typeof ROLES)[number];

export function RoleSelect({ value, onChange, label, isDisabled }: { value?: MemberRole; onChange?: (role: MemberRole) => void; label: string; isDisabled?: boolean }) {
  const { t } = useTranslation('settings');
  return <Select<MemberRole> size="small" style={{ width: 130 }} aria-label={label} value={value} disabled={isDisabled} onChange={onChange} options={ROLES.map((role) => ({ value: role, label: t(`role.${role}`) }))} />;
}

function RoleField() {
  const { t } = useTranslation('settings');
  return (
    <Form.Item name="role" label={t('members.role')}>
      <Select options={ROLES.map((value) => ({ value, label: <span>{t(`role.${value}`)} <Typography.Text type="secondary">{t(`roleHint.${value}`)}</Typography.Text></span> }))} />
    </Form.Item>
  );
}

/** What can be done stays in sight at the end of a row; on a phone it would cover the rest. */
const useEnd = () => (Grid.useBreakpoint().md === false ? {} : { fixed: 'end' as const });

function People() {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const { modal } = App.useApp();
  const may = useMay();
  const { data: me } = useMe();
  const [isAdding, setAdding] = useState(false);
  const query = useInfiniteQuery({
    queryKey: ['members', me?.tenant],
    queryFn: ({ pageParam, signal }) => body(getMembers({ query: { limit: 100, ...(pageParam ? { cursor: pageParam } : {}) }, signal, throwOnError: true })),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const members = useMemo(() => query.data?.pages.flatMap(({ items }) => items).filter(({ kind }) => kind === 'person') ?? [], [query.data]);
  const end = useEnd();
  const change = useChange(({ username, role }: { username: string; role: MemberRole }) => body(putMembersUsername({ path: { username }, body: { role }, throwOnError: true })), { told: ({ username, role }) => t('members.changed', { name: username, role: t(`role.${role}`) }) });
  const remove = useChange(({ username }: MemberShown) => deleteMembersUsername({ path: { username }, throwOnError: true }), { told: (_, { username }) => t('members.removed', { name: username }) });
  const canManage = may('members:manage');
  const add = canManage && <Button icon={<PlusOutlined />} onClick={() => setAdding(true)}>{t('members.add')}</Button>;
  return (
    <Card size="small" title={t('members.people')} extra={add} styles={{ body: { padding: 0 } }}>
      <Loaded query={query}>
        {() => (
          <DataTable<MemberShown>
            size="small"
            rowKey="username"
            dataSource={members}
            pagination={false}
            scroll={{ x: 640 }}
            locale={{ emptyText: <EmptyState title={t('members.none')} hint={t('members.noneHint')} action={add} /> }}
            columns={[
              { title: t('members.name'), render: (_, { username, display_name, state }) => <Space wrap size={4}><strong>{display_name ?? username}</strong>{display_name && <Typography.Text type="secondary">{username}</Typography.Text>}{state === 'disabled' && <Tag>{t('users.disabled')}</Tag>}{username === me?.user?.username && <Tag color="blue">{t('members.you')}</Tag>}</Space> },
              { title: t('members.role'), width: 160, render: (_, { username, role }) => canManage ? <RoleSelect label={`${t('members.role')}: ${username}`} value={role} onChange={(next) => change.mutate({ username, role: next })} /> : t(`role.${role}`) },
              { title: t('members.since'), width: 150, render: (_, { created_at }) => <Moment at={created_at} /> },
              ...(canManage
                ? [{
                    title: <span className="visually-hidden">{t('actions')}</span>,
                    ...end,
                    width: 100,
                    render: (_: unknown, member: MemberShown) => (
                      <Button size="small" type="text" danger aria-label={`${words('action.remove')} ${member.username}`} onClick={() => void modal.confirm({ title: t('members.removeTitle', { name: member.username }), content: t('members.removeHint'), okText: words('action.remove'), cancelText: words('action.cancel'), okButtonProps: { danger: true }, onOk: () => remove.mutateAsync(member).catch(() => undefined) })}>{words('action.remove')}</Button>
                    ),
                  }]
                : []),
            ]}
          />
        )}
      </Loaded>
      <More query={query} />
      {isAdding && (
        <FormModal<{ username: string; role: MemberRole }>
          title={t('members.add')}
          okText={words('action.add')}
          width={420}
          names={['username', 'role']}
          initial={{ role: 'developer' }}
          onSend={({ username, role }) => body(putMembersUsername({ path: { username: username.trim() }, body: { role }, throwOnError: true }))}
          onClose={() => setAdding(false)}
        >
          <Form.Item name="username" label={t('members.username')} extra={t('members.usernameHint')} rules={[{ required: true, message: t('required') }]}><Input autoFocus autoCapitalize="none" autoComplete="off" spellCheck={false} /></Form.Item>
          <RoleField />
        </FormModal>
      )}
    </Card>
  );
}

function Services() {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const { data: me } = useMe();
  const may = useMay();
  const [isAdding, setAdding] = useState(false);
  const [gone, setGone] = useState<ServiceShown>();
  const query = useInfiniteQuery({
    queryKey: ['services', me?.tenant, 'pages'],
    queryFn: ({ pageParam, signal }) => body(getServiceAccounts({ query: { limit: 100, ...(pageParam ? { cursor: pageParam } : {}) }, signal, throwOnError: true })),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const services = useMemo(() => query.data?.pages.flatMap(({ items }) => items) ?? [], [query.data]);
  const end = useEnd();
  const change = useChange(({ username, role }: { username: string; role: MemberRole }) => body(putMembersUsername({ path: { username }, body: { role }, throwOnError: true })), { told: ({ username, role }) => t('members.changed', { name: username, role: t(`role.${role}`) }) });
  const add = <Button icon={<PlusOutlined />} onClick={() => setAdding(true)}>{t('services.add')}</Button>;
  return (
    <Card size="small" title={t('services.title')} extra={add} styles={{ body: { padding: 0 } }}>
      <Loaded query={query}>
        {() => (
          <DataTable<ServiceShown>
            size="small"
            rowKey="username"
            dataSource={services}
            pagination={false}
            scroll={{ x: 640 }}
            locale={{ emptyText: <EmptyState title={t('services.none')} hint={t('services.noneHint')} /> }}
            columns={[
              { title: t('members.name'), render: (_, { name, state }) => <Space size={4}><strong>{name}</strong>{state === 'disabled' && <Tag>{t('users.disabled')}</Tag>}</Space> },
              { title: t('members.role'), width: 160, render: (_, { username, name, role }) => may('members:manage') ? <RoleSelect label={`${t('members.role')}: ${name}`} value={role} onChange={(next) => change.mutate({ username, role: next })} /> : t(`role.${role}`) },
              { title: t('services.since'), width: 150, render: (_, { created_at }) => <Moment at={created_at} /> },
              {
                title: <span className="visually-hidden">{t('actions')}</span>,
                ...end,
                width: 180,
                render: (_, service) => (
                  <Space size={4}>
                    <Link to="/settings/keys?whose=all">{t('services.keys')}</Link>
                    <Button size="small" type="text" danger aria-label={`${words('action.remove')} ${service.name}`} onClick={() => setGone(service)}>{words('action.remove')}</Button>
                  </Space>
                ),
              },
            ]}
          />
        )}
      </Loaded>
      <More query={query} />
      {isAdding && (
        <FormModal<{ name: string; role: MemberRole }> title={t('services.add')} okText={words('action.add')} width={420} names={['name', 'role']} initial={{ role: 'developer' }} onSend={(fields) => body(postServiceAccounts({ body: fields, throwOnError: true }))} onClose={() => setAdding(false)}>
          <Form.Item name="name" label={t('services.name')} extra={t('services.nameHint')} rules={[{ required: true, message: t('required') }, { pattern: /^[a-z0-9][a-z0-9._-]*$/, message: t('badName') }]}><Input autoFocus autoCapitalize="none" autoComplete="off" spellCheck={false} /></Form.Item>
          <RoleField />
        </FormModal>
      )}
      {gone && <TypedConfirm title={t('services.removeTitle', { name: gone.name })} what={t('services.removeHint')} name={gone.name} okText={words('action.remove')} onOk={() => deleteServiceAccountsAccount({ path: { account: gone.name }, throwOnError: true })} onClose={() => setGone(undefined)} />}
    </Card>
  );
}

export default function Members() {
  const { t } = useTranslation('settings');
  const may = useMay();
  const { data: me } = useMe();
  return (
    <Section title={t('section.members')} sub={t('members.sub', { tenant: me?.tenant ?? '' })}>
      <People />
      {may('keys:manage') && <Services />}
    </Section>
  );
}
